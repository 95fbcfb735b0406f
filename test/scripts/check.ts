/** `npm run check`: the linter, types, protos, generated code and the public API. */
import { stderr, stdout } from "node:process";
import { CHECKS } from "../support/repo/checks.ts";

// All of them, so that one run shows every fault.
for (const { name, run } of CHECKS) {
  try {
    await run();
    stdout.write(`ok      ${name}\n`);
  } catch (error) {
    stdout.write(`FAILED  ${name}\n`);
    stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}
