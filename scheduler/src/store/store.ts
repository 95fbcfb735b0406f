import type { ConnectionShortage } from "../domain/database/connection-limits.ts";
import type { DatabaseLock } from "../domain/database/database-lock.ts";
import type { AttemptKey } from "../domain/ids.ts";
import type { TaskClass } from "../domain/matching/match.ts";
import type { DatabaseReport, FleetReport, SchedulerReport } from "../domain/reports.ts";
import type { AttemptRecord, Attempts, Requirements, TaskRecord } from "../domain/tasks/task.ts";
import type { AttemptFacts } from "../domain/tasks/trace.ts";
import type { Contest } from "../domain/workers/contest.ts";
import type { LaunchRecord, Served } from "../domain/workers/launch.ts";
import type { RejectedWorker } from "../domain/workers/rejected-worker.ts";
import type { HeartbeatRecord, StartupPhaseRecord, WorkerRecord } from "../domain/workers/worker.ts";
import type {
  Announcement,
  AttemptTouch,
  ClaimedAttempt,
  ClassDepth,
  Command,
  CommitRequest,
  CommitResult,
  DecideLost,
  EventRecord,
  FleetCounts,
  Floor,
  GoneSession,
  Hint,
  InsertedTask,
  LaunchEnded,
  LaunchExit,
  LaunchFilter,
  LaunchReport,
  LaunchReported,
  NewEvent,
  OutputChunk,
  QueueDepth,
  QueueRow,
  RejectedWorkerWrite,
  Renewal,
  SchedulerRow,
  SeenTask,
  SessionEnd,
  SessionOpen,
  SessionOpened,
  SilentLaunch,
  StuckAttempts,
  TaskFilter,
  TaskInsert,
  WaitingTask,
  WorkerCount,
} from "./records.ts";

export type * from "./records.ts";

/**
 * Everything that is durable. Methods throw DatabaseUnavailableError when the database cannot be reached;
 * reads and fenced writes are tried again inside for a bounded time, because trying them twice is
 * harmless.
 */
export interface Store {
  // Submit, claim, run, commit: the hot path, all in batches.
  resolveClasses(
    wanted: readonly { queue: string; type: string; requirements: Requirements }[],
  ): Promise<TaskClass[]>;
  classesAfter(id: number): Promise<TaskClass[]>;
  classesById(ids: readonly number[]): Promise<TaskClass[]>;
  /** The classes with open tasks, and the id of the newest class of all. */
  openClasses(): Promise<{ readonly lastId: number; readonly classes: TaskClass[] }>;
  /** Ids of the classes with open tasks, whatever these wait for. */
  openClassIds(): Promise<number[]>;
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
  /** Gives an attempt that was taken back to the session that had it; false when somebody else has its task. */
  retake(key: AttemptKey, sessionId: number): Promise<boolean>;
  touch(touches: readonly AttemptTouch[]): Promise<void>;
  commitResults(requests: readonly CommitRequest[]): Promise<CommitResult[]>;
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
  /** Renews leases; tells when, and which sessions' lease is no longer this scheduler's. */
  renewLeases(
    beats: readonly { sessionId: number; beat: HeartbeatRecord }[],
    schedulerId: string,
    leaseMs: number,
  ): Promise<Renewal>;
  /** A stream dropped: the lease ends now, the grace begins. */
  disconnect(sessionId: number, schedulerId: string): Promise<void>;
  endSessions(ends: readonly SessionEnd[], decide: DecideLost): Promise<GoneSession[]>;
  /** Gives up sessions whose lease had ended more than the grace before `asOf`, and requeues what they held. */
  reapSessions(asOf: Date, graceMs: number, limit: number, decide: DecideLost): Promise<GoneSession[]>;

  /** Fights over worker ids, of one worker or of all, in which a process was made to wait within `withinMs`. */
  listContests(options: {
    workerId: string | undefined;
    withinMs: number;
    limit: number;
  }): Promise<Contest[]>;

  // Refused streams.
  /** Adds them, keeps at most `keep` rows in all, and returns how many others were dropped for it. */
  recordRejectedWorkers(
    rejected: readonly RejectedWorkerWrite[],
    schedulerId: string,
    keep: number,
  ): Promise<number>;
  /** These workers were admitted `ageMs` ago: what was held against them before is over. */
  forgetRejectedWorkers(workers: readonly { workerId: string; ageMs: number }[]): Promise<void>;
  /** Of one worker or of all, the latest first; at most 2,000. */
  listRejectedWorkers(workerId: string | undefined): Promise<RejectedWorker[]>;

  // Launches.
  reportLaunches(reports: readonly LaunchReport[]): Promise<LaunchReported[]>;
  /** Idempotent by launch id: the first end counts. */
  endLaunch(exit: LaunchExit): Promise<LaunchEnded>;
  /** Adds attempts requeued because of a launch's end; returns the sum. */
  addRequeued(launchId: string, count: number): Promise<number>;
  /** Ends launches without a living session whose supervisor had been silent for longer by `asOf`. */
  giveUpLaunches(asOf: Date, silentMs: number, limit: number): Promise<SilentLaunch[]>;
  /** Processes that were launched, have not registered and have not ended, oldest first. */
  waitingLaunches(limit: number): Promise<LaunchRecord[]>;
  /** Launches, newest first, each with its session if it has registered. */
  listLaunches(filter: LaunchFilter): Promise<WorkerRecord[]>;
  /** What the workers of these ids, and of these pools, served when they last registered; the latest of each worker. */
  servedBefore(launches: readonly { workerId: string; pool: string }[]): Promise<Served[]>;

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
  /** Of many the first and the last, with the beginning of their tracebacks. */
  getAttempts(id: number): Promise<AttemptRecord[]>;
  /** Those of the attempts whose own result is committed: a second copy of it is no late one. */
  committedResults(keys: readonly AttemptKey[]): Promise<AttemptKey[]>;
  /** The same with how many are left out. */
  countedAttempts(id: number): Promise<Attempts>;
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
  /** Chunks after a position, in order: at most `limit` and, unless the first one alone is larger, `maxBytes`. */
  outputAfter(
    taskId: number,
    after: { readonly epoch: number; readonly sequence: number },
    limit: number,
    maxBytes: number,
  ): Promise<OutputChunk[]>;
  /** The task without payload and output, and the version of its row. */
  followedTask(id: number): Promise<{ readonly task: TaskRecord; readonly version: string } | undefined>;
  /**
   * Ids of those that are no longer as they were seen. One statement, not tried again.
   *
   * @param withOutput Looks for further output as well.
   */
  changedTasks(seen: readonly SeenTask[], withOutput: boolean): Promise<number[]>;

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
  getQueue(name: string): Promise<QueueRow | undefined>;
  /** Names of the queues that are paused. */
  pausedQueues(): Promise<string[]>;
  /** Queues by name, after `afterName` or only `name`, each with its `maxTypes` largest types. */
  queueDepths(filter: {
    name?: string;
    afterName?: string | undefined;
    limit: number;
    maxTypes: number;
  }): Promise<QueueDepth[]>;
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
  /** Lists of at most `limit`. */
  fleetReport(limit: number): Promise<FleetReport>;

  // Upkeep.
  databaseTime(): Promise<Date>;
  /** One try, no waiting. @throws DatabaseUnavailableError when the database is away or takes no writes. */
  probe(): Promise<void>;
  /** When a statement was last answered, in the clock's monotonic milliseconds; -Infinity before the first. */
  lastAnswerMs(): number;
  /** What somebody else holds, a table or a row, that statements have waited for, for at least `afterMs`. */
  foreignLock(afterMs: number): Promise<DatabaseLock | undefined>;
  /** Opens the connections that results and submits use. */
  openHot(): Promise<void>;
  /** The connection limit that lets fewer connections in than the store may open; undefined when none does. */
  connectionShortage(): Promise<ConnectionShortage | undefined>;
  /** Migrations that this program needs and the database has not. One try, no waiting. */
  missingMigrations(): Promise<readonly string[]>;
  /** False when somebody's lock was in the way of a partition that is missing. */
  ensurePartitions(): Promise<boolean>;
  /** How many partitions were dropped; undefined when somebody's lock was in the way of them. */
  dropOld(keepDays: number): Promise<number | undefined>;
  notify(hint: Hint): Promise<void>;
  /** Calls `onHint` for every hint until the store closes; `onConnected` after every (re)connect. */
  listen(onHint: (hint: Hint) => void, onConnected: () => void): void;
  close(): Promise<void>;
}
