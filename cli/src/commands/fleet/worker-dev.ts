/** `muster worker dev FILE`: runs a worker's file, and reloads it when it changes. */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseDuration } from "@muster/common/duration";
import { type Command, Option } from "commander";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";

interface Options {
  readonly drain: number;
  readonly scheduler?: string;
  readonly token?: string;
  readonly tlsCa?: string;
}

/** How long handlers may go on when the worker is reloaded, milliseconds: an edit should show within seconds. */
const DEFAULT_DRAIN_MS = 5_000;

/** `muster worker dev`: a worker that follows its files. */
export function defineWorkerDev(command: Command, io: Io, setExitCode: (code: number) => void): void {
  command
    .argument("<file>", "a worker's file: one that starts a worker")
    .summary("run a worker's file, and reload it when it changes")
    .description(
      "Runs a worker's file as `node FILE` does, and again whenever one of the files that it has loaded has changed, node_modules apart.",
    )
    .addOption(
      new Option(
        "--drain <duration>",
        "time that handlers may take when the worker is reloaded; WORKER_DRAIN_TIMEOUT_S wins",
      )
        .argParser(argument(parseDuration))
        .default(DEFAULT_DRAIN_MS, `${DEFAULT_DRAIN_MS / 1000}s`),
    )
    .addHelpText(
      "after",
      `
On a change the changed files are checked first: with a syntax error the worker goes
on with the code from before. Otherwise it drains: it takes no new task, handlers may
finish, those that have not after --drain are aborted and their tasks wait again; then
the file is started anew. A worker that ends by itself is started again at the next
change. Ctrl-C drains and ends; a second one kills.

Examples:
  $ muster worker dev worker.ts
  $ NODE_OPTIONS="--import tsx" muster worker dev worker.ts --drain 1s`,
    )
    .action(async (file: string, _options: unknown, self: Command) => {
      const path = resolve(file);
      if (!existsSync(path))
        throw new CliError(`there is no file ${path}`, {
          exitCode: ExitCode.USAGE,
          remedy: "give the path of the file that starts your worker, for example worker.ts",
        });
      const { drain, scheduler, token, tlsCa } = self.optsWithGlobals<Options>();
      const env = {
        ...io.env,
        ...(scheduler ? { MUSTER_SCHEDULER_ADDR: scheduler } : {}),
        ...(token ? { MUSTER_TOKEN: token } : {}),
        ...(tlsCa ? { MUSTER_TLS_CA: tlsCa } : {}),
      };
      // Imported here: the other subcommands of `worker` need none of it.
      const { DevWorker } = await import("../../local/dev-worker.ts");
      setExitCode(await new DevWorker({ file: path, env, drainS: drain / 1000 }, io).run());
    });
  addConnectionOptions(command);
}
