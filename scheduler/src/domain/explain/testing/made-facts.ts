/** Facts that explanations are written from, for tests: a search, a waiting task, a launch, a rejected worker. */
import { removedBy, type TaskClass } from "../../matching/match.ts";
import { MatchLog, type MatchRecord } from "../../matching/match-log.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { LaunchRecord } from "../../workers/launch.ts";
import { NO_CLAIMS, type RejectedWorker } from "../../workers/rejected-worker.ts";
import type { FleetMember } from "../fleet.ts";
import type { Reason } from "../reason.ts";
import type { DispatchFacts } from "../waiting/delayed.ts";
import { explainWaiting } from "../waiting/waiting.ts";
import type { WaitingFacts } from "../waiting/waiting-facts.ts";
import { ago, member, NOW, TASK } from "./fixture.ts";

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

/** A dispatch loop that runs. */
export const DISPATCH: DispatchFacts = {
  ranAgeMs: 10,
  claimingMs: undefined,
  lastError: undefined,
  pollAgeMs: 100,
  aheadCount: 0,
  otherSchedulers: new Set(),
};

/** The reasons of a waiting task after a search among these workers, with the facts that the test gives. */
export function waiting(fleet: readonly FleetMember[], facts: Partial<WaitingFacts> = {}): Reason[] {
  const task = facts.task ?? TASK;
  return explainWaiting({
    task,
    taskClass: classOf(task),
    lastAttempt: undefined,
    queuePause: undefined,
    fleet,
    match: matched(fleet, classOf(task)),
    monotonicNow: 0,
    gone: [],
    dispatch: DISPATCH,
    address: "scheduler:7070",
    now: NOW,
    ...facts,
  });
}

/** A worker that sent no token, w-8, with what the test gives. */
export function rejected(given: Partial<RejectedWorker> = {}): RejectedWorker {
  return {
    workerId: "w-8",
    code: "BAD_TOKEN",
    message: "no bearer token was sent",
    peer: "10.0.0.7:40122",
    claims: { ...NO_CLAIMS, types: ["ocr"] },
    schedulerProtocolVersion: 3,
    schedulerId: "s-1",
    count: 4,
    firstTime: ago(60_000),
    lastTime: ago(10_000),
    holder: "none",
    ...given,
  };
}

/** What a scheduler reports of an attempt that has been silent for five minutes. */
export const SILENT = {
  taskId: 7,
  epoch: 2,
  phase: "",
  elapsedMs: 301_000,
  stillMs: 301_000,
  warnAfterMs: 300_000,
  by: "scheduler",
} as const;

/** A lock of another session. */
export const LOCK = {
  waitingCount: 2,
  waitMs: 4_000,
  holder: { pid: 4711, application: "psql", state: "idle in transaction", ageMs: 60_000 },
};

/** A database that is away. */
export const OUTAGE = {
  since: ago(12_000),
  awayMs: 12_000,
  error: "connect ECONNREFUSED 10.0.0.5:5432",
  condition: "unreachable",
  lock: undefined,
  runningCount: 3,
  workerCount: 2,
  waitingCount: 40,
} as const;

/** A worker without room. */
export const full = (more: Partial<FleetMember> = {}) => member({ candidate: { credit: 0 }, more });

/** Other queues have work for the same workers. */
export const TURN = {
  queue: {
    ...{ name: "default", weight: 1, otherCount: 7, otherWeight: 11 },
    others: [
      { name: "bulk", weight: 3 },
      { name: "nightly", weight: 2 },
    ],
  },
  next: { queue: "bulk", key: "" },
};
