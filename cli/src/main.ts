/** The entry point of `muster`. */
import { reapAsProcessOne } from "@muster/common/process/process-one";
import type { Environment } from "./config.ts";
import { processEnvironment } from "./config.ts";
import { processIo } from "./io/io.ts";
import { run } from "./run.ts";

/**
 * Runs the command line `argv` (without node and script) on the process's streams; returns the exit code. As process 1 of a
 * container a shell takes the place of the process first.
 */
export function main(argv: readonly string[], env: Environment = processEnvironment()): Promise<number> {
  reapAsProcessOne();
  return run(argv, processIo(env));
}

if (import.meta.main) process.exitCode = await main(process.argv.slice(2));
