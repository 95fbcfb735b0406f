// The rows and answers that pass between the store and those who use it.

import type { AttemptKey } from "../domain/ids.ts";
import type { SchedulerStatus } from "../domain/reports.ts";
import type { OutcomeDecision } from "../domain/tasks/outcome.ts";
import type { NewTask, Progress, RequeueCounts, TaskOptions, TaskState } from "../domain/tasks/task.ts";
import type { Stuck } from "../domain/tasks/watchdog.ts";
import type { Contested, ProcessName } from "../domain/workers/contest.ts";
import type { ExitRecord, LaunchEndReason, LaunchFacts } from "../domain/workers/launch.ts";
import type { RejectedStream } from "../domain/workers/rejected-worker.ts";
import type { FatalRecord, StartupPhaseRecord, WorkerHello, WorkerState } from "../domain/workers/worker.ts";

/** A task to insert, given to a worker in the same statement when `assignTo` is set. */
export interface TaskInsert {
  readonly task: NewTask;
  readonly classId: number;
  readonly assignTo: number | undefined;
}

/** What became of an insert. */
export interface InsertedTask {
  readonly id: number;
  /** True when `uniqueKey` was taken: `id` is the earlier task's, and nothing was inserted or assigned. */
  readonly duplicate: boolean;
  /** True when it was given to the session that was asked for; false when that session has ended. */
  readonly assigned: boolean;
}

/** A task waiting in a class, as the window holds it. */
export interface WaitingTask {
  readonly id: number;
  readonly classId: number;
  readonly priority: number;
}

/** A place in the order of a class: what goes before it (higher priority, or lower id) is passed over. */
export interface Floor {
  readonly priority: number;
  readonly id: number;
}

/** An attempt as the dispatcher must know it to run and end it. */
export interface AttemptRow {
  readonly taskId: number;
  readonly epoch: number;
  readonly classId: number;
  readonly sessionId: number;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly requeueCounts: RequeueCounts | undefined;
  readonly options: TaskOptions | undefined;
  readonly cancelReason: string | undefined;
  readonly accepted: boolean;
  /** Since it was given out, milliseconds. */
  readonly ageMs: number;
  /** The named phase it is in, as it was last written. */
  readonly phase?: string | undefined;
  readonly phaseAgeMs?: number | undefined;
  /** Since its handler was called, as it was last written; undefined when it was not, or is not asked for. */
  readonly startAgeMs?: number | undefined;
  /** Highest number of its worker's events that is recorded; 0 when there is none. */
  readonly sequence?: number;
}

/** A freshly claimed attempt with what its worker needs. */
export interface ClaimedAttempt extends AttemptRow {
  /** From the task's creation to the claim, milliseconds; undefined when it is given out once more. */
  readonly sinceCreationMs: number | undefined;
  readonly payload: Uint8Array;
  readonly contentType: string;
  readonly headers: Readonly<Record<string, string>> | undefined;
}

/** News of a running attempt, written in batches. Ages are milliseconds before the write. */
export interface AttemptTouch {
  readonly key: AttemptKey;
  readonly acceptAgeMs: number | undefined;
  readonly startAgeMs: number | undefined;
  readonly phase: string | undefined;
  readonly phaseAgeMs: number | undefined;
  /** Null clears it. */
  readonly progress: Omit<Progress, "at"> | null | undefined;
}

/** The end of an attempt, to be applied only while the attempt is the task's current one. */
export interface CommitRequest {
  readonly key: AttemptKey;
  readonly decision: OutcomeDecision;
  readonly acceptAgeMs: number | undefined;
  readonly startAgeMs: number | undefined;
  /** The class in which the task runs alone from now on. */
  readonly aloneClassId?: number | undefined;
  /** The last progress, which may not have been written; null when it is no longer of what ran last. */
  readonly progress?: LastProgress | null | undefined;
}

/** Progress with its age before the write, milliseconds. */
export interface LastProgress extends Omit<Progress, "at"> {
  readonly ageMs: number;
}

/** What became of a commit request. */
export interface CommitResult {
  /** True when applied; false when another attempt is current or the task has ended. */
  readonly applied: boolean;
}

/** An event to append. */
export interface NewEvent {
  readonly name: string;
  readonly taskId?: number;
  readonly epoch?: number;
  readonly sessionId?: number;
  readonly workerId?: string;
  readonly sequence?: number;
  readonly attributes?: Readonly<Record<string, string>>;
  /** How long before the write it happened, milliseconds; 0 by default. */
  readonly ageMs?: number;
}

/** An event as read; events of many tasks are already taken apart. */
export interface EventRecord {
  readonly id: number;
  readonly time: Date;
  readonly name: string;
  readonly taskId: number | undefined;
  readonly epoch: number | undefined;
  readonly workerId: string | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

/** A chunk of incremental output. */
export interface OutputChunk {
  readonly taskId: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly data: Uint8Array;
}

/** What a follower of a task has seen. */
export interface SeenTask {
  readonly taskId: number;
  /** Changes with every write of the task's row. */
  readonly version: string;
  /** Position of the last chunk of its output. */
  readonly epoch: number;
  readonly sequence: number;
}

/** A worker's registration. */
export interface SessionOpen {
  readonly uuid: string;
  readonly workerId: string;
  readonly hello: WorkerHello;
  readonly phases: readonly StartupPhaseRecord[];
  readonly ready: boolean;
  readonly draining: boolean;
  /** Attempts that the worker says it holds. */
  readonly inFlight: readonly AttemptKey[];
}

/** What the store answers to a registration. */
export interface SessionOpened {
  /** Another living process has the worker id and keeps it for now: nothing was registered, and the rest is empty. */
  readonly contested?: Contested | undefined;
  readonly sessionId: number;
  /** Attempts that are the session's: the worker's in-flight ones, and those it does not know of. */
  readonly attempts: readonly AttemptRow[];
  /** Living sessions of the same worker id but the newest, which may be another than this: they are superseded. */
  readonly superseded: readonly { readonly sessionId: number; readonly schedulerId: string }[];
}

/** A renewal of leases. */
export interface Renewal {
  /** When, by the database's clock. */
  readonly at: Date;
  /** Sessions whose lease is no longer the scheduler's that renewed. */
  readonly lost: readonly number[];
}

/** A session that was given up, with what it held. */
export interface GoneSession {
  readonly sessionId: number;
  readonly workerId: string;
  readonly schedulerId: string;
  readonly endedAttempts: readonly { readonly row: AttemptRow; readonly decision: OutcomeDecision }[];
  /** Since its last beat, milliseconds. */
  readonly silentMs: number;
  /** Its process, when that was alive and another one took its worker id. */
  readonly tookFrom?: ProcessName | undefined;
}

/** Why a session ends. */
export interface SessionEnd {
  readonly sessionId: number;
  /** The session that takes its place, when it is superseded. */
  readonly by?: number;
  readonly reason: string;
  readonly fatal: FatalRecord | undefined;
}

/** A launch as its supervisor reports it, with everything known so far. */
export interface LaunchReport {
  readonly launchId: string;
  readonly workerId: string;
  readonly pool: string;
  readonly facts: LaunchFacts;
  readonly phases: readonly StartupPhaseRecord[];
  /** Since the process was started, milliseconds. */
  readonly ageMs: number;
}

/** What a report of a launch brought. */
export interface LaunchReported {
  readonly isNew: boolean;
  /** Phases that were known before. */
  readonly knownPhases: number;
  /** The process has registered a session, so that its stream tells the phases. */
  readonly registered: boolean;
}

/** The end of a launch, as its supervisor reports it. */
export interface LaunchExit extends Omit<LaunchReport, "ageMs"> {
  readonly exit: ExitRecord;
  readonly logTail: string;
  /** Until the supervisor starts it again; undefined when it will not. */
  readonly restartInMs: number | undefined;
  /** Since it ended, milliseconds. */
  readonly endedForMs: number;
  /** Decides why it is over, and what the timeline says of it. Pure. */
  readonly classify: (registered: boolean) => {
    readonly reason: LaunchEndReason;
    readonly event: string;
    readonly attributes: Readonly<Record<string, string>>;
  };
}

/** What became of a report of a launch's end. */
export interface LaunchEnded {
  /** False when the end was known before. */
  readonly isNew: boolean;
  readonly reason: LaunchEndReason;
  /** Attempts requeued because of it so far. */
  readonly requeued: number;
  /** Sessions of the process that are not gone yet. */
  readonly livingSessions: readonly number[];
}

/** A launch that was given up because its supervisor is silent. */
export interface SilentLaunch {
  readonly launchId: string;
  readonly workerId: string;
  readonly silentMs: number;
  readonly lastPhase: string;
}

/** A session that ended, as the decision on its attempts needs it. */
export interface EndedSession {
  readonly workerId: string;
  readonly fatal: FatalRecord | undefined;
  /** All that it held. */
  readonly held: readonly AttemptRow[];
  /** It lived, and another process took its worker id. */
  readonly takenAlive: boolean;
  /** Its stream had ended, as it does when a process dies. */
  readonly disconnected: boolean;
}

/** Decides what becomes of an attempt whose session ended. Pure. */
export type DecideLost = (row: AttemptRow, ended: EndedSession) => OutcomeDecision;

/** Filters of a task listing; undefined lets everything through. */
export interface TaskFilter {
  readonly states: readonly TaskState[];
  readonly queue: string | undefined;
  readonly type: string | undefined;
  readonly detail: string | undefined;
  readonly workerId: string | undefined;
  /** Only tasks with a smaller id. */
  readonly beforeId: number | undefined;
  readonly limit: number;
}

/** Filters of a listing of launches; undefined lets everything through. */
export interface LaunchFilter {
  readonly workerId: string | undefined;
  readonly pool: string | undefined;
  /** Only launches that ended badly, no longer ago than this many milliseconds, whose worker has not been started again. */
  readonly failedWithinMs?: number;
  readonly beforeId: number | undefined;
  readonly limit: number;
}

/** Depth of one class. */
export interface ClassDepth {
  readonly classId: number;
  readonly ready: number;
  readonly scheduled: number;
  /** Given out: assigned and running. */
  readonly active: number;
  /** Those of them that their worker has accepted. */
  readonly running: number;
  readonly oldestReadyAgeMs: number | undefined;
}

/** Living workers of a pool in a state. */
export interface WorkerCount {
  readonly pool: string;
  readonly state: WorkerState;
  readonly count: number;
}

/** Counts of the living workers of all schedulers. */
export interface FleetCounts {
  readonly workers: number;
  readonly ready: number;
  /** GPUs that they declare, and those of workers that run something. */
  readonly gpus: number;
  readonly busyGpus: number;
}

/** Attempts that last too long, of all schedulers. */
export interface StuckAttempts {
  /** All of them; `attempts` holds the longest. */
  readonly count: number;
  readonly attempts: readonly (AttemptKey & {
    readonly queue: string;
    readonly type: string;
    readonly workerId: string;
    readonly stuck: Stuck;
  })[];
}

/** A queue with what is in it now. */
export interface QueueDepth extends QueueRow {
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
  readonly oldestReadyAgeMs: number | undefined;
  /** Its types; `types` holds those with the most ready tasks. */
  readonly typeCount: number;
  readonly types: readonly TypeDepth[];
}

/** Depth of one task type in a queue. */
export interface TypeDepth {
  readonly type: string;
  readonly ready: number;
  readonly scheduled: number;
  readonly active: number;
}

/** A queue's own row. */
export interface QueueRow {
  readonly name: string;
  readonly pauseTime: Date | undefined;
  readonly pauseReason: string | undefined;
}

/** What a scheduler says when it says that it lives. */
export interface Announcement {
  readonly id: string;
  readonly address: string;
  readonly version: string;
  readonly status?: SchedulerStatus;
}

/** A scheduler that shares the database. */
export interface SchedulerRow {
  readonly id: string;
  readonly address: string;
}

/** Refused streams of one worker id from one machine, to be added to what is known. Ages are milliseconds before the write. */
export interface RejectedWorkerWrite extends RejectedStream {
  readonly peerHost: string;
  readonly count: number;
  readonly firstAgeMs: number;
  readonly lastAgeMs: number;
}

/** What a scheduler asks of a worker whose stream another scheduler holds. */
export interface Command {
  readonly sessionId: number;
  readonly kind: "cancel" | "drain" | "supersede" | "prepare";
  readonly body: Readonly<Record<string, string>>;
}

/** What arrives by notification; a hint, never the truth. */
export type Hint =
  | { readonly kind: "work"; readonly classIds: readonly number[] }
  | { readonly kind: "command"; readonly schedulerId: string }
  | { readonly kind: "queue" }
  | { readonly kind: "task"; readonly taskId: number };
