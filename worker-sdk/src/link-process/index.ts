/**
 * The link as a process: `muster link`. For the command line; programs use `Worker`.
 *
 * @module @muster/worker/link-process
 */

// First: nothing else of this package is evaluated on a Node that lacks what it uses.
import "../node-version.ts";
import { createProgramLogger } from "../logging/logger.ts";
import { processEnvironment } from "../options/connection-options.ts";
import { compileOptions } from "../options/options.ts";
import { runProgram } from "../run/program.ts";
import type { GivenOptions } from "./hello-options.ts";
import { LinkProgram } from "./link-program.ts";

/** What `runLink` takes. */
export interface LinkOptions extends GivenOptions {
  /** The worker's command line. */
  readonly command: readonly string[];
  /** True: lines on the worker's standard input and output; false: on the descriptor `MUSTER_LINK_FD`. @default false */
  readonly stdio?: boolean;
}

/**
 * Starts a worker in any language and connects it to the scheduler; docs/link.md has the protocol. Resolves after a drain; the
 * process exits with the worker's exit code when that ends by itself.
 *
 * @throws OptionsError when an option or a variable is not valid.
 */
export async function runLink({ command, stdio = false, ...given }: LinkOptions): Promise<void> {
  const env = processEnvironment;
  const base = compileOptions(given, env);
  const log = createProgramLogger(base.logLevel);
  const withId = { ...given, id: base.id };
  await runProgram(
    log,
    base.drainTimeoutS,
    () => new LinkProgram({ command, stdio, given: withId, base, env, log }),
  );
}
