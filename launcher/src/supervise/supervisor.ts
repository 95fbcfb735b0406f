/** Runs a command, and restarts it when it ends. */
import { formatDuration } from "@muster/common/text/duration-text";
import type { Client } from "@muster/worker/client";
import type { Clock } from "../clock.ts";
import type { StopSignal, SupervisorIo } from "../io.ts";
import type { NoticeSettings } from "../notices/notice.ts";
import type { NoticeWatch } from "../notices/notice-watch.ts";
import { SetupError } from "../setup-error.ts";
import type { KillRequest } from "./kill-request.ts";
import type { LaunchOptions, LaunchOutcome } from "./launch.ts";
import { Launch } from "./launch.ts";
import { MachineEnd } from "./machine-end.ts";
import { OutputFile, type OutputFileOptions } from "./output/output-file.ts";
import { Reporter } from "./reporter.ts";
import type { RestartDecision, RestartPolicy, RestartTimings } from "./restart.ts";
import { decideRestart } from "./restart.ts";
import type { SupervisorLog } from "./supervisor-log.ts";
import { supervisorLog } from "./supervisor-log.ts";

/** How a command is supervised. */
export interface SuperviseOptions
  extends Pick<
    LaunchOptions,
    | "command"
    | "directory"
    | "env"
    | "launchId"
    | "workerId"
    | "pool"
    | "registerTimeoutMs"
    | "stopTimeoutMs"
    | "redactor"
  > {
  readonly restart: RestartPolicy;
  readonly timings: RestartTimings;
  /** The log file for the output of the process and the supervisor's lines. */
  readonly logFile: OutputFileOptions | undefined;
  /** A file for the supervisor's lines alone, which are not in the log file then. */
  readonly ownLogFile?: OutputFileOptions;
  /** Time allowed for the last reports before the supervisor exits, milliseconds. */
  readonly reportTimeoutMs: number;
  /** Where the cloud says that it takes the machine away; undefined for nowhere. */
  readonly notices?: NoticeSettings | undefined;
  /** Called with the pid of each start. */
  readonly onStarted?: (pid: number) => void;
  /** Called with each end, before it is reported. */
  readonly onEnded?: (outcome: LaunchOutcome) => void;
}

/**
 * Runs the command and restarts it as configured; resolves with the exit code of the last run. The outputs of `io` may be
 * closed by their readers: the worker continues if their errors are handled.
 *
 * @throws SetupError when a log file cannot be written.
 */
export async function supervise(
  options: SuperviseOptions,
  client: Client,
  io: SupervisorIo,
): Promise<number> {
  const file =
    options.logFile &&
    openFile(options.logFile, (message) => log.write("warn", "launch.log_file", message, { path }));
  const path = options.logFile?.path;
  const ownFile = options.ownLogFile && openFile(options.ownLogFile, () => undefined);
  const log = supervisorLog(io.stderr, io.clock, (line) => (ownFile ?? file)?.line(line));
  const reporter = new Reporter(client, io.clock, log);
  const stopping = new AbortController();
  const streams = { stdout: io.stdout, stderr: io.stderr.stream, clock: io.clock };
  let current: Launch | undefined;
  const onStop = (signal: StopSignal): void => {
    log.write(
      "info",
      "launch.stopping",
      `${signal}: passed to the worker; a second signal kills it within 2 s`,
      { signal },
    );
    stopping.abort();
    // A closed terminal (SIGHUP) drains the worker like SIGTERM.
    current?.stop(signal === "SIGHUP" ? "SIGTERM" : signal);
  };
  const stopListening = io.onStop(onStop);
  const machineEnd = new MachineEnd({
    ...{ clock: io.clock, log, current: () => current },
    onChange: () => reporter.changed(),
    onEnd: () => stopping.abort(),
  });
  const notices = options.notices && (await watchNotices(options.notices, io.clock, machineEnd));
  try {
    let ends = 0;
    for (let number = 1; ; number++) {
      current = new Launch({ ...options, ...streams, file, onChange: () => reporter.changed() }, number);
      const launch = current;
      if (launch.child.pid !== 0) {
        options.onStarted?.(launch.child.pid);
        reporter.launched(() => launch.describe(), {
          kill: (request) => {
            logKill(log, options.workerId, launch, request);
            launch.kill(request);
          },
          notice: (draining) => machineEnd.answered(draining),
        });
        log.write("info", "launch.started", `${options.workerId} started as pid ${launch.child.pid}`, {
          worker_id: options.workerId,
          launch_id: launch.id,
          pid: launch.child.pid,
          start_number: number,
        });
      }
      const outcome = await launch.end();
      current = undefined;
      options.onEnded?.(outcome);
      const decision = restartAfter(outcome, options, ends);
      ends = decision.ends;
      // A command that could never be started is mistyped; after a successful start a retry makes sense.
      const cannotStart = outcome.startError !== undefined && number === 1;
      const delayMs = stopping.signal.aborted || cannotStart ? undefined : decision.delayMs;
      reporter.ended(outcome.message, delayMs);
      logEnd(log, options.workerId, outcome, delayMs);
      if (delayMs === undefined) return outcome.exitCode;
      await io.clock.sleep(delayMs, stopping.signal);
      if (stopping.signal.aborted) {
        reporter.notRestarted(outcome.message);
        return outcome.exitCode;
      }
    }
  } finally {
    notices?.stop();
    await reporter.close(options.reportTimeoutMs);
    stopListening();
    file?.close();
    ownFile?.close();
  }
}

/** Loaded when it is used: few machines have a cloud that takes them away. */
async function watchNotices(
  settings: NoticeSettings,
  clock: Clock,
  machineEnd: MachineEnd,
): Promise<NoticeWatch> {
  const { NoticeWatch } = await import("../notices/notice-watch.ts");
  return NoticeWatch.of(settings, clock, machineEnd);
}

/** A kill that an operator asked for decides instead of the restart policy, and is no end of a crash loop. */
function restartAfter(
  outcome: LaunchOutcome,
  { restart, timings }: Pick<SuperviseOptions, "restart" | "timings">,
  ends: number,
): RestartDecision {
  if (outcome.kill) return { delayMs: outcome.kill.restart ? 0 : undefined, ends };
  return decideRestart(restart, timings, outcome, ends);
}

function logKill(log: SupervisorLog, workerId: string, { id }: Launch, request: KillRequest): void {
  const { reason, graceMs, restart } = request;
  log.write(
    "info",
    "launch.stopping",
    `an operator asked to kill ${workerId}: ${reason}; SIGKILL follows SIGTERM in ${formatDuration(graceMs)}`,
    { worker_id: workerId, launch_id: id, reason, grace_ms: graceMs, restart },
  );
}

/** @throws SetupError when the file cannot be opened: nothing has been started yet. */
function openFile(options: OutputFileOptions, onFault: (message: string) => void): OutputFile {
  try {
    return new OutputFile(options, onFault);
  } catch (error) {
    throw new SetupError(
      `the log file ${options.path} cannot be written: ${error instanceof Error ? error.message : String(error)}`,
      { remedy: "give another file with --log-file, or omit it", cause: error },
    );
  }
}

function logEnd(
  log: SupervisorLog,
  workerId: string,
  { message, exitCode, startError, ranForMs, failed, kill }: LaunchOutcome,
  delayMs: number | undefined,
): void {
  const how =
    startError !== undefined
      ? `could not be started: ${startError.message}`
      : message.signal
        ? `was killed by ${message.signal}`
        : `exited with code ${exitCode}`;
  const memory = message.outOfMemory ? ` because memory ran out (${message.outOfMemoryEvidence})` : "";
  const next = delayMs === undefined ? "" : `; restarting it in ${formatDuration(delayMs)}`;
  log.write(
    failed && !kill ? "error" : "info",
    "launch.ended",
    `${workerId} ${how} after ${formatDuration(ranForMs)}${memory}${next}`,
    {
      worker_id: workerId,
      launch_id: message.launchId,
      exit_code: message.exitCode ?? null,
      signal: message.signal ?? "",
      out_of_memory: message.outOfMemory ?? false,
      ran_for_ms: Math.round(ranForMs),
      ...(delayMs === undefined ? {} : { restart_in_ms: delayMs }),
    },
  );
}
