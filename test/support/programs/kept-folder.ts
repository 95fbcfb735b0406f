/** The folder for what is kept between runs of the tests. */
import { tmpdir } from "node:os";
import { env } from "node:process";

/** Name of the variable with the folder for what is kept between runs; the suite's temporary folder goes with it. */
export const KEPT_VARIABLE = "TEST_KEPT_FOLDER";

/** Where programs are kept that were compiled or unpacked for a test. */
export function keptFolder(): string {
  return env[KEPT_VARIABLE] ?? tmpdir();
}
