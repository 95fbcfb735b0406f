/** The form of a case of the prose snapshot: a code, what is special about it, and the facts that it is written from. */

import { removedBy, type TaskClass } from "../../matching/match.ts";
import { MatchLog, type MatchRecord } from "../../matching/match-log.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { LaunchRecord } from "../../workers/launch.ts";
import type { ReasonCode } from "../codes.ts";
import type { FleetMember } from "../fleet.ts";
import type { Reason } from "../reason.ts";
import { ago, NOW, TASK } from "./fixture.ts";

/** One text of the snapshot. */
export interface ProseCase {
  readonly code: ReasonCode;
  /** What distinguishes the case from others of the code. */
  readonly when: string;
  /** Writes the explanation; the first reason of the code is the text. */
  readonly write: () => readonly Reason[];
}

/** The class of a task. */
export function classOf({ queue, type, requirements, alone }: TaskRecord = TASK): TaskClass {
  return { id: 1, queue, type, requirements, alone };
}

/** The matcher's record after a search among these workers. */
export function matched(fleet: readonly FleetMember[], taskClass = classOf()): MatchRecord {
  const log = new MatchLog();
  log.begin(0);
  for (const { candidate } of fleet) {
    const filter = removedBy(taskClass, candidate);
    if (filter) log.removed(filter, candidate.workerId);
  }
  log.end(false, 0);
  return log.read(30_000);
}

/** A supervised start of w-9, 10 s old. */
export function launch(fields: Partial<LaunchRecord> = {}): LaunchRecord {
  return {
    rowId: 1,
    id: "l-1",
    workerId: "w-9",
    pool: "",
    phases: [{ phase: "boot", outcome: "ok", elapsedMs: 1_000, detail: "", attributes: {} }],
    launchTime: ago(10_000),
    reportTime: NOW,
    end: undefined,
    command: "node worker.js",
    hostname: "box",
    pid: 7,
    supervisor: "muster run",
    startNumber: 1,
    registerTimeoutMs: 90_000,
    lastError: "",
    ...fields,
  };
}

/** The end of a supervised start; an exit code of 3 where nothing else is named. */
export function ended(
  reason: NonNullable<LaunchRecord["end"]>["reason"],
  exit: Partial<NonNullable<NonNullable<LaunchRecord["end"]>["exit"]>> = { exitCode: 3 },
): NonNullable<LaunchRecord["end"]> {
  return {
    time: ago(5_000),
    reason,
    exit: {
      signal: "",
      outOfMemory: false,
      outOfMemoryEvidence: "",
      startError: "",
      stopRequested: false,
      ranForMs: 2_000,
      ...exit,
    },
    restartTime: undefined,
    logTail: "last line",
    requeued: 1,
  };
}
