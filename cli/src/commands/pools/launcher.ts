/** `muster launcher`: starts and ends the workers of pools on this machine. */
import { homedir } from "node:os";
import { join } from "node:path";
import {
  DRIVER_NAMES,
  type DriverName,
  Launcher,
  launcherLog,
  loadDriver,
  openLauncherState,
} from "@muster/launcher";
import { Client, MusterError } from "@muster/worker/client";
import { type Command, Option } from "commander";
import { CallError } from "../../api/failure-report.ts";
import { addConnectionOptions, callConfig, type Environment } from "../../config.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { withSetupErrors } from "../setup-errors.ts";

interface Options {
  readonly pool: readonly string[];
  readonly driver?: readonly DriverName[];
  readonly state?: string;
}

/** `muster launcher`: serves pools until it is stopped. */
export function defineLauncher(
  command: Command,
  io: Io,
  setExitCode: (code: number) => void,
  version: string,
): void {
  const several = (value: string, before: readonly string[]): string[] => [...before, value];
  command
    .description(
      "Starts and ends the workers of pools as the scheduler decides, by default as processes of this machine. Workers outlive the launcher: a stop or a crash ends none of them, and the next start of the launcher finds them again.",
    )
    .addOption(
      new Option("--pool <name>", "only this pool; repeatable")
        .argParser(several)
        .default([], "every pool of its drivers"),
    )
    .addOption(
      new Option("--driver <name...>", "engines on which it starts workers; default process").choices(
        DRIVER_NAMES,
      ),
    )
    .option(
      "--state <folder>",
      "folder that keeps what it has launched; default ~/.muster/launcher (env: MUSTER_LAUNCHER_STATE)",
    )
    .addHelpText(
      "after",
      `
Workers get the connection of the launcher (address, token, certificates), PATH,
HOME and the like, and the environment of their pool; nothing else of the
launcher's environment. SIGTERM stops the launcher and no worker.

Examples:
  $ muster launcher
  $ muster launcher --pool gpu --state /var/lib/muster-launcher`,
    )
    .action(async (options: Options, self: Command) => {
      setExitCode(await serve(options, self, io, version));
    });
  addConnectionOptions(command);
}

async function serve(options: Options, command: Command, io: Io, version: string): Promise<number> {
  const { connection, timeoutMs } = callConfig(command, io.env);
  const client = new Client(connection);
  const folder = options.state ?? (io.env.MUSTER_LAUNCHER_STATE || join(homedir(), ".muster", "launcher"));
  const state = await withSetupErrors(() => openLauncherState(folder));
  const env = connected(command, io.env, client.addresses);
  const log = launcherLog(io.stderr, io.clock);
  const { launcherId } = state;
  const drivers = new Map(
    await Promise.all(
      [...new Set(options.driver ?? (["process"] as const))].map(async (name) => {
        const context = { launcherId, folder: state.folderOf(name), env, clock: io.clock, log };
        return [name, await loadDriver(name, context)] as const;
      }),
    ),
  );
  const launcher = new Launcher({
    ...{ launcherId, pools: options.pool, drivers, env, client, clock: io.clock, log, version },
  });
  const stopListening = io.onStop(() => launcher.stop());
  io.ignorePipeErrors();
  try {
    await launcher.run();
    return ExitCode.DONE;
  } catch (error) {
    if (error instanceof MusterError) throw new CallError(error, client.addresses, timeoutMs);
    throw error;
  } finally {
    stopListening();
    client.close();
    state.release();
  }
}

/** The environment with the connection options: supervisors and workers connect where the launcher does. */
function connected(command: Command, env: Environment, addresses: readonly string[]): Environment {
  const given = command.optsWithGlobals<{ scheduler?: string; token?: string; tlsCa?: string }>();
  return {
    ...env,
    MUSTER_SCHEDULER_ADDR: addresses.join(","),
    ...(given.token ? { MUSTER_TOKEN: given.token } : {}),
    ...(given.tlsCa ? { MUSTER_TLS_CA: given.tlsCa } : {}),
  };
}
