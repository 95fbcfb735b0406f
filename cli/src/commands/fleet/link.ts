/** `muster link`: connects a worker in any language. */
import type { Command } from "commander";
import { addConnectionOptions, callConfig } from "../../config.ts";
import type { Io } from "../../io/io.ts";

interface Options {
  readonly stdio?: true;
  readonly workerId?: string;
  readonly pool?: string;
}

/** `muster link -- COMMAND`: holds the connection of a worker that speaks lines. */
export function defineLink(command: Command, io: Io): void {
  command
    .argument("<command...>", "the worker's command line, best after --")
    .description(
      "Starts a worker in any language and holds its connection to the scheduler in this process, so that nothing in the worker can stop its heartbeats. The two speak lines of JSON over the descriptor MUSTER_LINK_FD.",
    )
    .option("--stdio", "speak over the worker's standard input and output instead")
    .option("--worker-id <id>", "worker id; default: WORKER_ID, else derived from the host name")
    .option("--pool <name>", "pool of the worker (env: MUSTER_POOL)")
    .passThroughOptions()
    .addHelpText(
      "after",
      `
SIGTERM and SIGINT drain the worker; a second one kills it. The exit code is 0
after a drain, else the worker's: 128 plus the signal number when a signal ended
it, 2 when it does not speak the protocol.

Examples:
  $ muster link -- python worker.py
  $ muster run --link -- python worker.py
  $ muster link --stdio -- awk -f worker.awk`,
    )
    .action((argv: string[], options: Options, self: Command) => link(argv, options, self, io));
  addConnectionOptions(command);
}

async function link(argv: readonly string[], options: Options, self: Command, io: Io): Promise<void> {
  // Loaded here: with the worker's side of the SDK it is 100 modules that no other command needs.
  const { runLink } = await import("@muster/worker/link-process");
  const { connection } = callConfig(self, io.env);
  // The reader of the output may close it; the worker continues.
  io.ignorePipeErrors();
  await runLink({
    ...connection,
    command: argv,
    stdio: options.stdio === true,
    ...(options.workerId === undefined ? {} : { id: options.workerId }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
  });
}
