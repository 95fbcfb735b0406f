/** Finds the bundle of a program that tests start. */
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { env } from "node:process";
import { fileURLToPath } from "node:url";

/** Environment variable with the folder of the bundles; without it programs start from their own files. */
export const BUNDLES_VARIABLE = "MUSTER_TEST_BUNDLES";

const ROOT = fileURLToPath(new URL("../../../", import.meta.url));

/** The file to start for a program: its bundle where there is one. */
export function bundled(file: string): string {
  const folder = env[BUNDLES_VARIABLE];
  if (!folder) return file;
  const bundle = join(folder, relative(ROOT, file).replace(/\.ts$/, ".js"));
  return existsSync(bundle) ? bundle : file;
}
