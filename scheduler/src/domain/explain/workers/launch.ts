/** Reasons of supervised workers: starting, failed, ended. */
import { cutToEnd } from "@muster/common/text/text";
import { endingSignal, exitInWords, type LaunchRecord, registerTimeLeftMs } from "../../workers/launch.ts";
import type { EarlierStart } from "../../workers/startup-history.ts";
import { type FatalRecord, hasRegistered, type WorkerRecord } from "../../workers/worker.ts";
import type { ReasonCode } from "../codes.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";
import { usualWords } from "./usual-startup.ts";

/** Of a process's output, the end that an explanation shows; GetWorker has all that is kept. */
const SHOWN_TAIL_CHARS = 4_000;
const SHOWN_TAIL_LINES = 30;

/**
 * `WAITING_FOR_CONNECTION` or `STARTUP_TIMEOUT`: why a launched process has not registered yet.
 *
 * @param now The database's clock.
 * @param silentAfterMs A supervisor without a report for this long is silent.
 * @param earlier Earlier starts of its id and pool, newest first.
 */
export function explainLaunching(
  launch: LaunchRecord,
  now: Date,
  silentAfterMs: number,
  earlier: readonly EarlierStart[] = [],
): Reason {
  const left = registerTimeLeftMs(launch, now);
  const silentMs = now.getTime() - launch.reportTime.getTime();
  const silent =
    silentMs > silentAfterMs
      ? `; its supervisor has not reported for ${span(silentMs)}, so the process may have ended`
      : "";
  const usual = usualOfLaunch(launch, now, earlier);
  const evidence = [
    ...launchEvidence(launch, now),
    ...(usual === "" ? [] : [{ key: "usual_startup", value: usual, source: "database" }]),
    { key: "register_timeout", value: span(launch.registerTimeoutMs), source: "launch" },
    { key: "supervisor", value: launch.supervisor, source: "launch", ageMs: silentMs },
  ];
  const where = `started ${span(age(launch.launchTime, now))} ago as ${process(launch)}`;
  if (left > 0) {
    return {
      code: "WAITING_FOR_CONNECTION",
      summary: `waiting for worker connection: ${where}; ${lastPhase(launch, now)}; ${span(left)} of its ${span(launch.registerTimeoutMs)} to register are left${usual && `; ${usual}`}${silent}`,
      since: launch.launchTime,
      evidence: [...evidence, { key: "register_time_left", value: span(left), source: "launch" }],
      remedy: launch.lastError
        ? `check that it dials the scheduler's address and that ${launch.hostname} can reach it; its last dial failed with: ${launch.lastError}`
        : "wait: it registers, or its exit is reported when its time is over; check its output if the phase does not change",
    };
  }
  return {
    code: "STARTUP_TIMEOUT",
    summary: `it has not registered within ${span(launch.registerTimeoutMs)} and still runs: ${where}; ${lastPhase(launch, now)}${silent}`,
    since: new Date(launch.launchTime.getTime() + launch.registerTimeoutMs),
    evidence,
    remedy: `check whether ${launch.command} is the worker, and what blocks its startup: a worker of the SDK exits when its time is over, and this process has not`,
  };
}

/** `LOST`: the process never registered, and its supervisor stopped reporting; undefined for any other end. */
export function explainSilence(record: WorkerRecord, now: Date): Reason[] | undefined {
  const { launch } = record;
  if (!launch?.end || launch.end.exit || hasRegistered(record)) return undefined;
  return [
    {
      code: "LOST",
      summary: `its supervisor (${launch.supervisor} on ${launch.hostname}) has not reported for ${span(age(launch.reportTime, now))}, and the process had not registered; ${lastPhase(launch, launch.end.time)}`,
      since: launch.end.time,
      evidence: [
        ...launchEvidence(launch, launch.end.time),
        {
          key: "supervisor",
          value: `${launch.supervisor} on ${launch.hostname}`,
          source: "launch",
          ageMs: age(launch.reportTime, now),
        },
      ],
      remedy: `check that ${launch.hostname} is up and its network works; the process may still run, and is listed again when it registers or its supervisor reports`,
    },
  ];
}

/** How a supervised process ended; undefined when its supervisor did not report the end. */
export function explainExit(record: WorkerRecord, now: Date): Reason[] | undefined {
  const { launch, fatal } = record;
  const exit = launch?.end?.exit;
  if (!launch?.end || !exit || record.goneReason === "superseded") return undefined;
  const registered = hasRegistered(record);
  const how = exitInWords(exit);
  const ran = `${how} after ${span(exit.ranForMs)}`;
  const before = registered ? "" : `, before it had registered; ${lastPhase(launch, launch.end.time)}`;
  const again = restart(launch, now);
  const requeued =
    launch.end.requeued > 0
      ? `; ${plural(launch.end.requeued, "attempt", ["was", "were"])} requeued at once`
      : "";
  const evidence = exitEvidence(launch, now);
  const since = record.goneTime ?? launch.end.time;
  const reason = (
    code: ReasonCode,
    summary: string,
    remedy: string,
    more: readonly Evidence[] = [],
  ): Reason => ({
    code,
    summary: `${summary}${requeued}${again.summary}`,
    since,
    evidence: [...more, ...evidence],
    remedy: `${remedy}${again.remedy}`,
  });
  if (exit.killReason) {
    return [
      reason(
        endingSignal(exit) ? "KILLED" : "EXITED",
        `an operator asked to kill it: ${exit.killReason}; it ${ran}${before}`,
        launch.end.restartTime
          ? "nothing to do"
          : `start it again on ${launch.hostname} when it is needed; its supervisor has ended`,
      ),
    ];
  }
  if (exit.machineEnded && launch.notice && record.goneReason === "finished") {
    const { source, event } = launch.notice;
    return [
      reason(
        endingSignal(exit) ? "KILLED" : "EXITED",
        `${source} ended its machine (${event}); it ${ran}${before}`,
        "start a worker on another machine when one is needed; a pool does so by itself",
      ),
    ];
  }
  switch (record.goneReason) {
    case "launch_failed":
      return exit.startError
        ? [
            reason(
              "LAUNCH_FAILED",
              `its command ${how}`,
              `check on ${launch.hostname} that the command exists and is executable: ${launch.command}`,
            ),
          ]
        : [
            reason("LAUNCH_FAILED", `it ${ran}${before}`, SEE_OUTPUT),
            brief("EXITED", `it ${ran}`, since, evidence),
          ];
    case "startup_timeout":
      return [
        reason(
          "STARTUP_TIMEOUT",
          `it could not register within ${span(launch.registerTimeoutMs)} and gave up: it ${ran}; ${lastPhase(launch, launch.end.time)}`,
          `check that a scheduler listens at ${addressOf(launch) ?? "the address it dialled"} and that ${launch.hostname} can reach it; set MUSTER_SCHEDULER_ADDR if the address is wrong`,
        ),
      ];
    case "oom_killed":
      return [
        reason(
          "OOM_KILLED",
          `it ${ran}${before}`,
          "give it more memory (the container's or cgroup's limit, or node's --max-old-space-size), or lower WORKER_MAX_CONCURRENCY",
        ),
      ];
    case "killed":
      return [
        reason(
          "KILLED",
          `it ${ran}${before}`,
          "find out who sent the signal: an operator, the platform (eviction, deadline), or a crash in native code",
        ),
      ];
    case "fatal": {
      if (!fatal) return [reason("EXITED", `it ${ran}${before}`, SEE_OUTPUT)];
      const first = reason(
        "FATAL",
        `it reported ${fatal.exceptionClass}: ${fatal.exceptionMessage} in ${fatal.phase || "an unknown phase"}, and ${ran}${before}`,
        "fix the cause that the traceback shows, then start the worker again",
        fatalEvidence(fatal, registered ? "event" : "launch"),
      );
      return registered ? [first] : [first, brief("LAUNCH_FAILED", `it ${ran}${before}`, since, [])];
    }
    default:
      return [reason("EXITED", `it ended normally: it ${ran}`, "nothing to do")];
  }
}

/** What a process reported before it ended, as facts. */
export function fatalEvidence(fatal: FatalRecord, source: "event" | "launch"): Evidence[] {
  return [
    { key: "exception", value: `${fatal.exceptionClass}: ${fatal.exceptionMessage}`, source },
    { key: "traceback", value: fatal.traceback, source },
  ];
}

const SEE_OUTPUT = "read its last output (log_tail), fix the cause, then start the worker again";

/** A short second reason; the first one has all the facts. */
function brief(code: ReasonCode, summary: string, since: Date, evidence: readonly Evidence[]): Reason {
  return {
    code,
    summary,
    since,
    evidence: evidence.filter(({ key }) => key === "exit_code" || key === "signal" || key === "log_tail"),
    remedy: SEE_OUTPUT,
  };
}

/** The next start after the end of a worker, in words; empty when none is planned. */
export function restart(
  { end, startNumber, hostname }: LaunchRecord,
  now: Date,
): { summary: string; remedy: string } {
  if (!end?.restartTime) return { summary: "", remedy: "" };
  const left = end.restartTime.getTime() - now.getTime();
  if (left > 0) {
    return {
      summary: `; its supervisor starts it again in ${span(left)} (start ${startNumber + 1})`,
      remedy: "",
    };
  }
  return {
    summary: `; its supervisor was to start it again ${span(-left)} ago`,
    remedy:
      left < -60_000
        ? `. It was not started again: check whether its supervisor on ${hostname} still runs`
        : "",
  };
}

/** When it is usually ready, in words; empty while that is not known. */
export function usualOfLaunch(launch: LaunchRecord, now: Date, earlier: readonly EarlierStart[]): string {
  return usualWords({ ...launch, ageMs: age(launch.launchTime, now) }, earlier);
}

/** The last startup phase in its output, with its age. */
export function lastPhase({ phases, launchTime }: LaunchRecord, now: Date): string {
  const last = phases.at(-1);
  if (!last) return "its output has no startup phase";
  const reached = age(launchTime, now) - last.elapsedMs;
  const failed = last.outcome === "failed" ? ` (failed${last.detail ? `: ${last.detail}` : ""})` : "";
  return `last phase ${last.phase}${failed}, ${span(Math.max(0, reached))} old`;
}

function process({ pid, hostname }: LaunchRecord): string {
  return `pid ${pid} on ${hostname || "an unknown host"}`;
}

/** The scheduler's address that it dialled, from its output. */
function addressOf({ phases }: LaunchRecord): string | undefined {
  return phases.findLast(({ attributes }) => attributes.scheduler_addr)?.attributes.scheduler_addr;
}

function launchEvidence(launch: LaunchRecord, now: Date): Evidence[] {
  const address = addressOf(launch);
  return [
    { key: "command", value: launch.command, source: "launch" },
    { key: "process", value: process(launch), source: "launch" },
    { key: "start_number", value: String(launch.startNumber), source: "launch" },
    ...launch.phases.slice(-20).map(({ phase, elapsedMs, outcome, detail }) => ({
      key: "phase",
      value: `${phase}${outcome && outcome !== "ok" ? ` ${outcome}` : ""} at ${span(elapsedMs)}${detail ? ` (${detail})` : ""}`,
      source: "launch",
      ageMs: Math.max(0, age(launch.launchTime, now) - elapsedMs),
    })),
    ...(address ? [{ key: "scheduler_addr", value: address, source: "launch" }] : []),
    ...(launch.lastError ? [{ key: "last_dial_error", value: launch.lastError, source: "launch" }] : []),
  ];
}

function exitEvidence(launch: LaunchRecord, now: Date): Evidence[] {
  const exit = launch.end?.exit;
  if (!launch.end || !exit) return [];
  const ageMs = Math.max(0, age(launch.end.time, now));
  const fact = (key: string, value: string | undefined): Evidence[] =>
    value ? [{ key, value, source: "launch", ageMs }] : [];
  return [
    ...fact("exit_code", exit.exitCode === undefined ? undefined : String(exit.exitCode)),
    ...fact("signal", exit.signal),
    ...fact("start_error", exit.startError),
    ...fact("out_of_memory", exit.outOfMemoryEvidence),
    ...fact("stop_requested", exit.stopRequested ? "true" : undefined),
    ...fact("kill_reason", exit.killReason),
    ...fact("ran_for", span(exit.ranForMs)),
    ...fact("requeued_attempts", launch.end.requeued > 0 ? String(launch.end.requeued) : undefined),
    ...fact("restart_time", launch.end.restartTime?.toISOString()),
    ...launchEvidence(launch, now),
    ...fact("log_tail", tailOf(launch.end.logTail ?? "")),
  ];
}

function tailOf(text: string): string {
  const whole = text.trimEnd();
  const cut = cutToEnd(whole, SHOWN_TAIL_CHARS);
  // A cut first line is dropped, unless it is the only one.
  const lines = (cut.length < whole.length ? cut.slice(cut.indexOf("\n") + 1) : cut).split("\n");
  return lines.slice(-SHOWN_TAIL_LINES).join("\n");
}

function age(since: Date, now: Date): number {
  return now.getTime() - since.getTime();
}
