import type { AttemptKey } from "../domain/ids.ts";
import type { ExitRecord, LaunchEndReason, LaunchFacts, LaunchRecord } from "../domain/launch.ts";
import type { TaskClass } from "../domain/match.ts";
import type { RefusalRecord, RefusedStream } from "../domain/refusal.ts";
import type { DatabaseReport, FleetReport, SchedulerReport, SchedulerStatus } from "../domain/reports.ts";
import type { Settlement } from "../domain/settlement.ts";
import type {
  AttemptRecord,
  NewTask,
  Progress,
  Requirements,
  TaskOptions,
  TaskRecord,
  TaskState,
} from "../domain/task.ts";
import type { AttemptFacts } from "../domain/trace.ts";
import type { Stuck } from "../domain/watchdog.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
  WorkerRecord,
  WorkerState,
} from "../domain/worker.ts";

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

/** An attempt as the dispatcher must know it to run and settle it. */
export interface AttemptRow {
  readonly taskId: number;
  readonly epoch: number;
  readonly classId: number;
  readonly sessionId: number;
  readonly attemptCount: number;
  readonly outOfMemoryCount: number;
  readonly options: TaskOptions | undefined;
  readonly cancelReason: string | undefined;
  readonly accepted: boolean;
  /** Since it was given out, milliseconds. */
  readonly ageMs: number;
  /** The named phase it is in, as it was last written. */
  readonly phase?: string | undefined;
  readonly phaseAgeMs?: number | undefined;
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
  readonly progress: Omit<Progress, "at"> | undefined;
}

/** The end of an attempt, to be applied only while the attempt is the task's current one. */
export interface SettleRequest {
  readonly key: AttemptKey;
  readonly settlement: Settlement;
  readonly acceptAgeMs: number | undefined;
  readonly startAgeMs: number | undefined;
}

/** What became of a settle request. */
export interface SettleResult {
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
  readonly sessionId: number;
  /** Attempts that are the session's: the worker's in-flight ones, and those it does not know of. */
  readonly attempts: readonly AttemptRow[];
  /** Living sessions of the same worker id but the newest, which may be another than this: they are superseded. */
  readonly superseded: readonly { readonly sessionId: number; readonly schedulerId: string }[];
}

/** A session that was given up, with what it held. */
export interface GoneSession {
  readonly sessionId: number;
  readonly workerId: string;
  readonly schedulerId: string;
  readonly settled: readonly { readonly row: AttemptRow; readonly settlement: Settlement }[];
  /** Since its last beat, milliseconds. */
  readonly silentMs: number;
}

/** Why a session ends. */
export interface SessionEnd {
  readonly sessionId: number;
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
  readonly judge: (registered: boolean) => {
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

/** Decides what becomes of an attempt whose session ended. Pure. */
export type DecideLost = (row: AttemptRow, workerId: string) => Settlement;

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
export interface RefusalWrite extends RefusedStream {
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

/**
 * Everything that is durable. Methods throw DatabaseUnavailableError when the database cannot be reached;
 * reads and fenced writes are tried again inside for a bounded time, because trying them twice is
 * harmless.
 */
export interface Store {
  // Submit, claim, run, settle: the hot path, all in batches.
  resolveClasses(
    wanted: readonly { queue: string; type: string; requirements: Requirements }[],
  ): Promise<TaskClass[]>;
  classesAfter(id: number): Promise<TaskClass[]>;
  /** @param schedulerId Only sessions of this scheduler are given tasks; of any by default. */
  insertTasks(tasks: readonly TaskInsert[], schedulerId?: string): Promise<InsertedTask[]>;
  /** @param floors Where to begin, for the class at the same place; at the front by default. */
  waitingTasks(
    classIds: readonly number[],
    limitPerClass: number,
    floors?: readonly (Floor | undefined)[],
  ): Promise<WaitingTask[]>;
  /** How many tasks of each class could start now, at most `limitPerClass` each; classes without any are missing. */
  countWaiting(classIds: readonly number[], limitPerClass: number): Promise<ReadonlyMap<number, number>>;
  /** @param schedulerId As for `insertTasks`. */
  claim(
    wanted: readonly { taskId: number; sessionId: number }[],
    schedulerId?: string,
  ): Promise<ClaimedAttempt[]>;
  /** Attempts in state assigned of these sessions among these tasks: resolves a claim of unknown outcome. */
  assignedTo(sessionIds: readonly number[]): Promise<ClaimedAttempt[]>;
  touch(touches: readonly AttemptTouch[]): Promise<void>;
  settle(requests: readonly SettleRequest[]): Promise<SettleResult[]>;
  appendEvents(events: readonly NewEvent[]): Promise<void>;
  appendOutput(chunks: readonly OutputChunk[]): Promise<void>;
  /** Makes due tasks claimable; returns them. */
  wakeDue(limit: number): Promise<WaitingTask[]>;
  /** Fails tasks that did not start by their deadline; returns them. */
  failOverdue(limit: number): Promise<{ readonly id: number; readonly classId: number }[]>;

  // Sessions.
  openSessions(opens: readonly SessionOpen[], schedulerId: string, leaseMs: number): Promise<SessionOpened[]>;
  recordStartup(
    sessionId: number,
    phases: readonly StartupPhaseRecord[],
    ready: boolean,
    draining: boolean,
  ): Promise<void>;
  /** Renews leases; returns the sessions whose lease is no longer this scheduler's. */
  renewLeases(
    beats: readonly { sessionId: number; beat: HeartbeatRecord }[],
    schedulerId: string,
    leaseMs: number,
  ): Promise<number[]>;
  /** A stream dropped: the lease ends now, the grace begins. */
  disconnect(sessionId: number, schedulerId: string): Promise<void>;
  endSessions(ends: readonly SessionEnd[], decide: DecideLost): Promise<GoneSession[]>;
  /** Gives up sessions whose lease ended more than the grace ago, and requeues what they held. */
  reapSessions(graceMs: number, limit: number, decide: DecideLost): Promise<GoneSession[]>;

  // Refused streams.
  /** Adds them, keeps at most `keep` rows in all, and returns how many others were dropped for it. */
  recordRefusals(refusals: readonly RefusalWrite[], schedulerId: string, keep: number): Promise<number>;
  /** These workers were admitted `ageMs` ago: what was held against them before is over. */
  forgetRefusals(workers: readonly { workerId: string; ageMs: number }[]): Promise<void>;
  /** Of one worker or of all, the latest first; at most 2,000. */
  listRefusals(workerId: string | undefined): Promise<RefusalRecord[]>;

  // Launches.
  reportLaunches(reports: readonly LaunchReport[]): Promise<LaunchReported[]>;
  /** Idempotent by launch id: the first end counts. */
  endLaunch(exit: LaunchExit): Promise<LaunchEnded>;
  /** Adds attempts requeued because of a launch's end; returns the sum. */
  addRequeued(launchId: string, count: number): Promise<number>;
  /** Ends launches without a living session whose supervisor has been silent for longer. */
  giveUpLaunches(silentMs: number, limit: number): Promise<SilentLaunch[]>;
  /** Processes that were launched, have not registered and have not ended, oldest first. */
  waitingLaunches(limit: number): Promise<LaunchRecord[]>;
  /** Launches, newest first, each with its session if it has registered. */
  listLaunches(filter: LaunchFilter): Promise<WorkerRecord[]>;

  // Schedulers.
  announce(scheduler: Announcement, leaseMs: number): Promise<void>;
  /** The other living schedulers; those that have ended are forgotten. */
  otherSchedulers(selfId: string): Promise<SchedulerRow[]>;
  retire(schedulerId: string): Promise<void>;
  /** True when this scheduler leads `name` for the next `leaseMs`. */
  lead(name: string, schedulerId: string, leaseMs: number): Promise<boolean>;
  sendCommand(schedulerId: string, command: Command): Promise<void>;
  takeCommands(schedulerId: string): Promise<Command[]>;

  // Tasks, one at a time.
  getTask(id: number): Promise<TaskRecord | undefined>;
  getAttempts(id: number): Promise<AttemptRecord[]>;
  listTasks(filter: TaskFilter): Promise<TaskRecord[]>;
  /** Ends a queued task, or marks an active one; undefined when there is no such task. */
  cancelTask(
    id: number,
    reason: string,
  ): Promise<
    | { outcome: "cancelled"; classId: number }
    | { outcome: "ended" }
    | { outcome: "asked"; attempt: AttemptKey; sessionId: number }
    | undefined
  >;
  /** Queues an ended or waiting task to run now; undefined when there is no such task. */
  retryTask(
    id: number,
  ): Promise<{ outcome: "queued"; task: WaitingTask } | { outcome: "active" } | undefined>;
  outputAfter(taskId: number, epoch: number, sequence: number, limit: number): Promise<OutputChunk[]>;

  // Fleet.
  listWorkers(filter: {
    pool: string | undefined;
    living: boolean | undefined;
    beforeId: number | undefined;
    limit: number;
    /** Leaves out the workers of this scheduler. */
    exceptScheduler?: string;
  }): Promise<WorkerRecord[]>;
  /** By worker id (its newest session) or session uuid. */
  getWorker(id: string): Promise<WorkerRecord | undefined>;
  /** Which scheduler holds each session's lease; sessions without a lease are missing. */
  leaseHolders(sessionIds: readonly number[]): Promise<ReadonlyMap<number, string>>;
  listQueues(): Promise<QueueRow[]>;
  setQueuePaused(name: string, reason: string | undefined): Promise<QueueRow>;
  depths(): Promise<ClassDepth[]>;
  countWorkers(): Promise<WorkerCount[]>;
  /**
   * What became of these attempts, in their order; undefined for those whose task is not traced. Epoch 0 asks
   * for the end of a task in the queue, as the attempt that it waited for.
   */
  attemptFacts(keys: readonly AttemptKey[]): Promise<(AttemptFacts | undefined)[]>;
  fleetCounts(): Promise<FleetCounts>;
  stuckAttempts(limit: number): Promise<StuckAttempts>;
  /** What was recorded of one task apart from its regular life. */
  taskEvents(taskId: number, limit: number): Promise<EventRecord[]>;
  /** The latest of them, oldest first. */
  latestTaskEvents(taskId: number, limit: number): Promise<EventRecord[]>;
  workerEvents(workerId: string, afterId: number, limit: number): Promise<EventRecord[]>;
  /** The newest event of a session with one of these names. */
  lastWorkerEvent(
    workerId: string,
    sessionId: number,
    names: readonly string[],
  ): Promise<EventRecord | undefined>;
  recentEvents(beforeId: number | undefined, limit: number): Promise<EventRecord[]>;
  eventsAfter(afterId: number, limit: number): Promise<EventRecord[]>;
  lastEventId(): Promise<number>;

  // For people: read by `muster doctor` and `muster top`.
  inspect(): Promise<DatabaseReport>;
  listSchedulers(): Promise<SchedulerReport[]>;
  /** Lists of at most `limit`; tasks in one phase for longer than `stuckAfterMs` count as stuck. */
  fleetReport(limit: number, stuckAfterMs: number): Promise<FleetReport>;

  // Upkeep.
  databaseTime(): Promise<Date>;
  /** One try, no waiting. @throws DatabaseUnavailableError when the database is away or takes no writes. */
  probe(): Promise<void>;
  /** Migrations that this program needs and the database has not. One try, no waiting. */
  missingMigrations(): Promise<readonly string[]>;
  ensurePartitions(): Promise<void>;
  dropOld(keepDays: number): Promise<number>;
  notify(hint: Hint): Promise<void>;
  /** Calls `onHint` for every hint until the store closes; `onConnected` after every (re)connect. */
  listen(onHint: (hint: Hint) => void, onConnected: () => void): void;
  close(): Promise<void>;
}
