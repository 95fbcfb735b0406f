/** `muster launcher`: starts and ends the workers of pools on this machine. */
import { homedir } from "node:os";
import { join } from "node:path";
import {
  CLOUDS,
  DRIVER_NAMES,
  type DriverName,
  Launcher,
  launcherLog,
  loadDriver,
  type NoticeSettings,
  noticeSettings,
  openLauncherState,
} from "@muster/launcher";
import { Client, MusterError } from "@muster/worker/client";
import { type Command, Option } from "commander";
import { CallError } from "../../api/failure-report.ts";
import { addConnectionOptions, callConfig, type Environment } from "../../config.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { withSetupErrors } from "../setup-errors.ts";

/** A launcher whose machine ends waits for that at most this long; the longest notices are 15 minutes. */
const LONGEST_END_MS = 3_600_000;

interface Options {
  readonly pool: readonly string[];
  readonly driver?: readonly DriverName[];
  readonly state?: string;
  readonly id?: string;
  readonly notices?: string;
  readonly noticesAddress?: string;
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
    .option(
      "--id <id>",
      "its id, by which it finds its workers; default: that of the state folder (env: MUSTER_LAUNCHER_ID)",
    )
    .addOption(
      new Option(
        "--notices <cloud>",
        "leave the pools when this cloud says that it takes the machine away (env: MUSTER_NOTICES)",
      ).choices(CLOUDS),
    )
    .option(
      "--notices-address <url>",
      "the cloud's metadata endpoint; default http://169.254.169.254 (env: MUSTER_NOTICES_ADDRESS)",
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
  const notices = await withSetupErrors(() => noticeSettings(io.env, options));
  const id = options.id ?? (io.env.MUSTER_LAUNCHER_ID || undefined);
  const state = await withSetupErrors(() => openLauncherState(folder, id));
  const env = { ...connected(command, io.env, client.addresses), ...noticeEnvironment(notices) };
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
  const stopping = new AbortController();
  const stopListening = io.onStop(() => {
    stopping.abort();
    launcher.stop();
  });
  io.ignorePipeErrors();
  // Loaded when it is used.
  const watchMachine = notices && (await import("@muster/launcher/notices")).watchMachine;
  const machine = notices && watchMachine?.(notices, io.clock, log, () => launcher.stop());
  try {
    // A launcher that is started on a machine that ends takes no pool.
    await machine?.asked;
    await launcher.run();
    // A service manager would start it again on this machine if it ended now.
    if (machine?.ends) await io.clock.sleep(LONGEST_END_MS, stopping.signal);
    return ExitCode.DONE;
  } catch (error) {
    if (error instanceof MusterError) throw new CallError(error, client.addresses, timeoutMs);
    throw error;
  } finally {
    machine?.stop();
    stopListening();
    client.close();
    state.release();
  }
}

/** For the supervisors of its workers. */
function noticeEnvironment(settings: NoticeSettings | undefined): Environment {
  if (!settings) return {};
  return { MUSTER_NOTICES: settings.cloud, MUSTER_NOTICES_ADDRESS: settings.address.href };
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
