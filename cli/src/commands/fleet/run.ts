/** `muster run`: starts a worker and supervises its process. */
import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { fileURLToPath } from "node:url";
import { parseDuration } from "@muster/common/duration";
import { WORKER_ID } from "@muster/common/text/name-forms";
import { Redactor } from "@muster/common/text/redact";
import {
  CLOUDS,
  DEFAULT_RESTART_TIMINGS,
  noticeSettings,
  RESTART_POLICIES,
  type RestartPolicy,
  type SuperviseOptions,
  supervise,
} from "@muster/launcher/supervise";
import { Client } from "@muster/worker/client";
import type { Command } from "commander";
import { Option } from "commander";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions, callConfig, type Environment } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { prettyLines } from "../../output/words/pretty-lines.ts";
import { withSetupErrors } from "../setup-errors.ts";

interface Options {
  readonly pool?: string;
  readonly workerId?: string;
  readonly restart?: RestartPolicy;
  readonly restartDelay?: number;
  readonly restartMaxDelay?: number;
  readonly restartReset?: number;
  readonly stopTimeout?: number;
  readonly reportTimeout?: number;
  readonly link?: true | "stdio";
  readonly notices?: string;
  readonly noticesAddress?: string;
  readonly logFile?: string;
  readonly logFileMaxMb: number;
  readonly logFileKeep: number;
}

/** The same as for the scheduler's `--log-file`. */
const DEFAULT_LOG_FILE_MB = 100;
const DEFAULT_LOG_FILES = 10;

/** Defaults of the worker, from which timeouts are derived. */
const DEFAULT_REGISTER_TIMEOUT_S = 90;
const DEFAULT_DRAIN_TIMEOUT_S = 30;

/** A worker that was asked to stop needs its drain timeout, then up to 2 s for handlers and 5 s for results. */
const AFTER_DRAIN_MS = 10_000;

/** Container runtimes wait 10 s by default between SIGTERM and SIGKILL. */
const REPORT_TIMEOUT_MS = 8_000;

/** `muster run -- COMMAND`: starts a worker process and reports how it starts and ends. */
export function defineRun(command: Command, io: Io, setExitCode: (code: number) => void): void {
  const duration = (flag: string, help: string): Option =>
    new Option(flag, help).argParser(argument(parseDuration));
  const count = (flag: string, help: string, fallback: number): Option =>
    new Option(flag, help).argParser(wholeNumber(1, 1_000_000)).default(fallback);
  command
    .argument("<command...>", "the worker's command line, best after --")
    .description(
      "Starts a worker process, supervises it, and restarts it when it fails. The scheduler lists the worker from its first startup phase, before it connects, and receives a report of its end: exit code, signal, out-of-memory kill, and the last output.",
    )
    .option("--pool <name>", "pool of the worker (env: MUSTER_POOL)")
    .option("--worker-id <id>", "worker id; default: WORKER_ID, else derived from the host name")
    .addOption(
      new Option(
        "--link [transport]",
        "the command speaks lines of JSON: run it below `muster link`; stdio: over its standard input and output",
      ).choices(["stdio"]),
    )
    .addOption(
      new Option(
        "--restart <policy>",
        "when to restart a command that ended; default on-failure (env: MUSTER_RUN_RESTART)",
      ).choices(RESTART_POLICIES),
    )
    .addOption(
      duration(
        "--restart-delay <duration>",
        "delay before the first restart; doubles with each further one; default 10s",
      ),
    )
    .addOption(duration("--restart-max-delay <duration>", "longest delay before a restart; default 5m"))
    .addOption(duration("--restart-reset <duration>", "a run of this length resets the delay; default 10m"))
    .addOption(
      duration(
        "--stop-timeout <duration>",
        "time between SIGTERM and SIGKILL; default: WORKER_DRAIN_TIMEOUT_S (30) plus 10s",
      ),
    )
    .addOption(
      duration(
        "--report-timeout <duration>",
        "time allowed for the last reports to the scheduler; default 8s",
      ),
    )
    .addOption(
      new Option(
        "--notices <cloud>",
        "drain the worker when this cloud says that it takes the machine away (env: MUSTER_NOTICES)",
      ).choices(CLOUDS),
    )
    .option(
      "--notices-address <url>",
      "the cloud's metadata endpoint; default http://169.254.169.254 (env: MUSTER_NOTICES_ADDRESS)",
    )
    .option(
      "--log-file <file>",
      "also write the output to this file, rotated by size; each supervisor needs its own file",
    )
    .addOption(count("--log-file-max-mb <mb>", "size at which the log file is rotated", DEFAULT_LOG_FILE_MB))
    .addOption(
      count(
        "--log-file-keep <count>",
        "number of rotated log files to keep; FILE.1 is the newest",
        DEFAULT_LOG_FILES,
      ),
    )
    .passThroughOptions()
    .addHelpText(
      "after",
      `
The command inherits the environment, with MUSTER_LAUNCH_ID, WORKER_ID and
MUSTER_POOL added; its output is passed through. SIGTERM, SIGINT and SIGHUP are
passed on; after a second signal the command has at most 2 s. The exit code is
the command's: 128 plus the signal number when a signal ended it, 127 when the
command does not exist.

Examples:
  $ muster run --pool gpu -- node worker.js
  $ muster run --restart always --restart-delay 1s -- python worker.py
  $ muster launches; muster why gpu-7`,
    )
    .action(async (argv: string[], options: Options, self: Command) => {
      setExitCode(await runCommand(argv, options, self, io));
    });
  addConnectionOptions(command);
}

async function runCommand(
  argv: readonly string[],
  options: Options,
  command: Command,
  io: Io,
): Promise<number> {
  const { connection } = callConfig(command, io.env);
  const client = new Client(connection);
  const env = childEnvironment(command, io.env, client.addresses);
  const workerId = options.workerId ?? (io.env.WORKER_ID || generatedId());
  if (!WORKER_ID.test(workerId)) {
    throw new CliError(`the worker id "${workerId}" does not match ${WORKER_ID.source}`, {
      exitCode: ExitCode.USAGE,
      remedy: "give a valid id with --worker-id or WORKER_ID",
    });
  }
  const notices = await withSetupErrors(() => noticeSettings(io.env, options));
  // A launcher's id for the process that this command is: a restart would be another launch, which the pool decides on.
  const launchId = io.env.MUSTER_SUPERVISOR_PID ? undefined : io.env.MUSTER_LAUNCH_ID || undefined;
  const supervised: SuperviseOptions = {
    command: options.link === undefined ? argv : linked(argv, options.link),
    env,
    workerId,
    pool: options.pool ?? io.env.MUSTER_POOL ?? "",
    registerTimeoutMs: secondsOf(io.env.WORKER_REGISTER_TIMEOUT_S, DEFAULT_REGISTER_TIMEOUT_S),
    stopTimeoutMs:
      options.stopTimeout ??
      secondsOf(io.env.WORKER_DRAIN_TIMEOUT_S, DEFAULT_DRAIN_TIMEOUT_S) + AFTER_DRAIN_MS,
    restart: launchId ? "never" : (options.restart ?? policyOf(io.env.MUSTER_RUN_RESTART)),
    ...(launchId ? { launchId } : {}),
    notices,
    timings: {
      firstMs: options.restartDelay ?? DEFAULT_RESTART_TIMINGS.firstMs,
      maxMs: options.restartMaxDelay ?? DEFAULT_RESTART_TIMINGS.maxMs,
      resetAfterMs: options.restartReset ?? DEFAULT_RESTART_TIMINGS.resetAfterMs,
    },
    reportTimeoutMs: options.reportTimeout ?? REPORT_TIMEOUT_MS,
    redactor: new Redactor(env),
    logFile:
      options.logFile === undefined
        ? undefined
        : {
            path: options.logFile,
            maxBytes: options.logFileMaxMb * 1024 * 1024,
            keep: options.logFileKeep,
          },
  };
  // The reader of the output may close it; the worker continues.
  io.ignorePipeErrors();
  // A worker writes JSON into its pipe; on a terminal the lines are formatted for reading.
  const pretty = io.stdout.isTTY ? prettyLines(io.stdout.colors) : undefined;
  pretty?.pipe(io.stdout.stream, { end: false });
  try {
    return await withSetupErrors(() =>
      supervise(supervised, client, { ...io, stdout: pretty ?? io.stdout.stream }),
    );
  } finally {
    pretty?.end();
  }
}

/** The command below `muster link`, which this program starts with the same Node. */
function linked(argv: readonly string[], transport: true | "stdio"): string[] {
  const extension = import.meta.url.endsWith(".ts") ? ".ts" : ".js";
  const program = fileURLToPath(new URL(`../../main${extension}`, import.meta.url));
  const options = transport === "stdio" ? ["--stdio"] : [];
  return [process.execPath, ...process.execArgv, program, "link", ...options, "--", ...argv];
}

/** The environment with the connection options added; variables that are set stay unchanged. */
function childEnvironment(command: Command, env: Environment, addresses: readonly string[]): Environment {
  const given = command.optsWithGlobals<{ scheduler?: string; token?: string; tlsCa?: string }>();
  return {
    ...env,
    ...(given.scheduler && !env.MUSTER_SCHEDULER_ADDR ? { MUSTER_SCHEDULER_ADDR: addresses.join(",") } : {}),
    ...(given.token && !env.MUSTER_TOKEN ? { MUSTER_TOKEN: given.token } : {}),
    ...(given.tlsCa && !env.MUSTER_TLS_CA ? { MUSTER_TLS_CA: given.tlsCa } : {}),
  };
}

/** A generated worker id. It is kept across restarts by this supervisor. */
function generatedId(): string {
  const host = hostname()
    .replaceAll(/[^A-Za-z0-9._-]/g, "-")
    .replace(/^[^A-Za-z0-9]+/, "");
  return `${host.slice(0, 80) || "worker"}-${process.pid}-${randomBytes(3).toString("hex")}`;
}

/** Seconds of a worker's variable. The worker itself reports an invalid value; here the default applies. */
function secondsOf(value: string | undefined, fallback: number): number {
  const seconds = Number(value || fallback);
  return (Number.isFinite(seconds) && seconds >= 0 ? seconds : fallback) * 1000;
}

function policyOf(value: string | undefined): RestartPolicy {
  const policy = RESTART_POLICIES.find((known) => known === (value || "on-failure"));
  if (policy !== undefined) return policy;
  throw new CliError(`MUSTER_RUN_RESTART: "${value}" is none of: ${RESTART_POLICIES.join(", ")}`, {
    exitCode: ExitCode.USAGE,
  });
}
