/** Workers and launches as lines of an overview. */
import { span } from "../../domain/explain/reason.ts";
import type { WorkerLine } from "../../domain/reports.ts";
import {
  exitInWords,
  isConnecting,
  type LaunchRecord,
  registerTimeLeftMs,
} from "../../domain/workers/launch.ts";

/** A worker as a line of an overview, and its problem in a few words; empty when it has none. */
export interface WorkerOverview {
  readonly line: WorkerLine;
  readonly problem: string;
}

/** A process that was launched and has not registered. @param now The database's clock. */
export function startingLine(launch: LaunchRecord, now: Date): WorkerOverview {
  const left = registerTimeLeftMs(launch, now);
  const timeout = left > 0 ? `${span(left)} left` : "its time to register is over";
  return {
    line: lineOf(launch, isConnecting(launch.phases) ? "connecting" : "launching", now, launch.launchTime),
    problem: `${phaseOf(launch, now)}, ${timeout}`,
  };
}

/** A process that ended before it had registered, and was not started again. @param now The database's clock. */
export function failedStartLine(launch: LaunchRecord, now: Date): WorkerOverview | undefined {
  const { end } = launch;
  if (!end) return undefined;
  const how = end.exit ? exitInWords(end.exit) : "its supervisor fell silent";
  const left = end.restartTime ? end.restartTime.getTime() - now.getTime() : 0;
  const again = left > 0 ? `, again in ${span(left)}` : "";
  return {
    line: {
      ...lineOf(launch, end.reason === "lost" ? "lost" : "gone", now, end.time),
      goneReason: end.reason,
    },
    problem: `did not start${again}: ${how}; ${phaseOf(launch, end.time)}`,
  };
}

function lineOf(launch: LaunchRecord, state: WorkerLine["state"], now: Date, since: Date): WorkerLine {
  return {
    workerId: launch.workerId,
    state,
    goneReason: "",
    fatal: "",
    pauseReason: "",
    loopAgeMs: 0,
    active: 0,
    slots: 0,
    pool: launch.pool,
    silentMs: now.getTime() - since.getTime(),
  };
}

/** Its last phase and how old that was at the time. */
function phaseOf({ phases, launchTime }: LaunchRecord, at: Date): string {
  const last = phases.at(-1);
  if (!last) return "no phase yet";
  return `${last.phase} ${span(Math.max(0, at.getTime() - launchTime.getTime() - last.elapsedMs))}`;
}
