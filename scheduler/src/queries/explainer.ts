import type { Clock } from "../clock.ts";
import type { Admission } from "../dispatch/admission/admission.ts";
import type { PausedQueues } from "../dispatch/admission/paused-queues.ts";
import type { Dispatcher } from "../dispatch/claiming/dispatcher.ts";
import { type Backlog, shownCount } from "../dispatch/matching/backlog.ts";
import type { ClassIndex } from "../dispatch/matching/class-index.ts";
import type { FleetView } from "../dispatch/sessions/fleet-view.ts";
import type { Registry } from "../dispatch/sessions/registry.ts";
import type { DatabaseAvailability } from "../domain/database/availability.ts";
import { mayBeLocked, withLock } from "../domain/database/database-lock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { allAttempts } from "../domain/explain/attempts.ts";
import { CONTEST_NEWS_MS, explainContest } from "../domain/explain/contested.ts";
import type { DispatchFacts } from "../domain/explain/delayed.ts";
import { explainExit, explainLaunching, explainSilence } from "../domain/explain/launch.ts";
import { databaseUnavailable, heldMeanwhile, type Outage } from "../domain/explain/outage.ts";
import { type Explanation, plural, type Reason } from "../domain/explain/reason.ts";
import { withRejected } from "../domain/explain/rejected.ts";
import { withLaunches } from "../domain/explain/starting.ts";
import { explainActive, explainEnded } from "../domain/explain/task.ts";
import { explainWaiting, readyTime } from "../domain/explain/waiting.ts";
import type { HeldBack } from "../domain/explain/waiting-facts.ts";
import { explainGone, explainLiving, type WaitingClass } from "../domain/explain/worker.ts";
import { formatTaskId } from "../domain/ids.ts";
import { largest } from "../domain/largest.ts";
import { type Candidate, removedBy, type TaskClass } from "../domain/matching/match.ts";
import { hasEnded, type TaskRecord } from "../domain/tasks/task.ts";
import type { WatchSettings } from "../domain/tasks/watchdog.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../domain/workers/worker.ts";
import { Slices } from "../slices.ts";
import type {
  ClassStore,
  EventStore,
  FleetStore,
  LaunchStore,
  MaintenanceStore,
  QueueStore,
  SchedulerRow,
  SchedulerStore,
  SessionStore,
  TaskStore,
} from "../store/store.ts";
import { explainWithRejections } from "./rejected-workers.ts";

/** Workers that have gone and are read to find one that could have run a task. */
const MAX_GONE = 200;

/** Kinds of waiting tasks that the explanation of a queue lists. */
const MAX_KINDS = 20;

/** A failed start is a reason for a waiting task for a day, unless the worker was started again. */
const FAILED_LAUNCH_NEWS_MS = 24 * 3_600_000;
const MAX_LAUNCHES = 100;

/** A count this old is good enough for an explanation, milliseconds. */
const BACKLOG_AGE_MS = 500;

/** A claim or a commit takes some 20 ms; one that waits for a lock for this long is held up by it. */
const LOCKED_AFTER_MS = 1_000;

/** What is recorded when a session ends. */
const END_EVENTS = ["worker.lost", "worker.fatal", "worker.gone"];

/** Parts that the explainer uses. */
export interface ExplainerParts {
  readonly store: Pick<ClassStore, "waitingTasks"> &
    Pick<EventStore, "lastWorkerEvent" | "latestTaskEvents"> &
    Pick<FleetStore, "getWorker" | "listWorkers"> &
    Pick<LaunchStore, "listLaunches" | "servedBefore" | "waitingLaunches"> &
    Pick<MaintenanceStore, "databaseTime" | "foreignLock"> &
    Pick<QueueStore, "getQueue"> &
    Pick<SchedulerStore, "otherSchedulers"> &
    Pick<SessionStore, "listContests" | "listRejectedWorkers"> &
    Pick<TaskStore, "getAttempts" | "getTask">;
  readonly admission: Admission;
  readonly pausedQueues: PausedQueues;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly registry: Registry;
  readonly fleet: FleetView;
  readonly backlog: Backlog;
  readonly clock: Clock;
  readonly database: Pick<DatabaseAvailability, "run" | "outage">;
  readonly schedulerId: string;
  /** A supervisor without a report for this long is silent. */
  readonly silentAfterMs: number;
  /** Where workers connect, `host:port`. */
  readonly address: () => string;
  /** Since the polling loop last ran, milliseconds; undefined before its first run. */
  readonly pollAgeMs: () => number | undefined;
  readonly watch: WatchSettings;
  readonly acceptDeadlineMs: number;
}

/** Latest events that are read: those of open phases are among them. */
const MAX_EVENTS = 200;

/**
 * Reads the facts and explains them. Workers of all schedulers pass the filters that assign work; while the database is
 * away, the explanation rests on what this scheduler holds in memory.
 */
export class Explainer {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  /** Undefined when there is no such task. */
  task(id: number): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      async () => {
        const task = await this.#parts.store.getTask(id);
        if (!task) return undefined;
        const reasons = await this.#taskReasons(task);
        const lock = mayBeLocked(reasons) ? await this.#parts.store.foreignLock(LOCKED_AFTER_MS) : undefined;
        return {
          subject: formatTaskId(id),
          state: task.state,
          reasons: lock ? withLock(reasons, lock) : reasons,
        };
      },
      (outage) => this.#taskFromMemory(id, outage),
    );
  }

  /** Undefined when no worker of this id ever registered or was refused. */
  worker(id: string): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      async () => {
        const { store } = this.#parts;
        const [record, rejected] = [await store.getWorker(id), await store.listRejectedWorkers(id)];
        const explanation = record && (await this.#workerReasons(record));
        if (rejected.length === 0) return explanation;
        return explainWithRejections(id, explanation, record?.goneTime, rejected, await store.databaseTime());
      },
      (outage) => this.#workerFromMemory(id, outage),
    );
  }

  /** Why the queue's next waiting task of each kind does not move; undefined when there is no such queue. */
  queue(name: string): Promise<Explanation | undefined> {
    return this.#orFromMemory(
      () => this.#queueReasons(name),
      (outage) => this.#queueFromMemory(name, outage),
    );
  }

  async #orFromMemory(
    explain: () => Promise<Explanation | undefined>,
    fromMemory: (outage: Reason) => Explanation,
  ): Promise<Explanation | undefined> {
    const { database } = this.#parts;
    try {
      return await database.run(explain);
    } catch (error) {
      if (!(error instanceof DatabaseUnavailableError)) throw error;
      return fromMemory(databaseUnavailable(this.#outage(error)));
    }
  }

  async #workerReasons(record: WorkerRecord): Promise<Explanation> {
    const { store, fleet, classes, backlog } = this.#parts;
    const clock = await this.#databaseClock();
    const now = clock();
    if (record.goneTime) {
      const state = workerState(record, now);
      const end = await store.lastWorkerEvent(record.workerId, record.sessionId, END_EVENTS);
      const silentMs = end?.attributes.silent_ms;
      const facts = {
        silentMs: silentMs === undefined ? undefined : Number(silentMs),
        held: end && (end.attributes.held ?? ""),
      };
      const reasons = explainExit(record, now) ?? explainSilence(record, now) ?? [explainGone(record, facts)];
      return { subject: record.workerId, state, reasons };
    }
    if (record.launch && !hasRegistered(record)) {
      const reason = explainLaunching(record.launch, now, this.#parts.silentAfterMs);
      return { subject: record.workerId, state: workerState(record, now), reasons: [reason] };
    }
    await classes.learn();
    const counts = await backlog.read(BACKLOG_AGE_MS);
    const waiting = [...counts].flatMap(([classId, ready]): WaitingClass[] => {
      const taskClass = classes.get(classId)?.taskClass;
      return taskClass
        ? [{ taskClass, ready, queuePaused: this.#parts.pausedQueues.isPaused(taskClass.queue) }]
        : [];
    });
    const contests = await store.listContests({
      workerId: record.workerId,
      withinMs: CONTEST_NEWS_MS,
      limit: 1,
    });
    const readAt = clock();
    const member = fleet.member(record, readAt);
    return {
      subject: record.workerId,
      state: member.state,
      reasons: [
        ...contests.map((contest) => explainContest(contest, readAt)),
        ...explainLiving(member, waiting, readAt),
      ],
    };
  }

  async #queueReasons(name: string): Promise<Explanation | undefined> {
    const { store, classes, backlog } = this.#parts;
    const queue = await store.getQueue(name);
    if (!queue) return undefined;
    await classes.learn();
    const counts = await backlog.read(BACKLOG_AGE_MS);
    const here: { readonly id: number; readonly count: number }[] = [];
    const slices = new Slices();
    for (const [id, count] of counts) {
      if (classes.get(id)?.taskClass.queue === name) here.push({ id, count });
      if (slices.isOver) await slices.next();
    }
    const waiting = largest(here, MAX_KINDS, (a, b) => b.count - a.count || a.id - b.id);
    const fronts = await store.waitingTasks(
      waiting.map(({ id }) => id),
      1,
    );
    const reasons: Reason[] = [];
    for (const { id, classId } of fronts) {
      const task = await store.getTask(id);
      if (task?.state !== "queued") continue;
      const kind = `${shownCount(counts.get(classId) ?? 1)} ${task.type} waiting, first ${formatTaskId(id)}`;
      for (const reason of await this.#taskReasons(task)) {
        // The pause of the queue is one reason for all kinds.
        if (reason.code === "QUEUE_PAUSED") continue;
        reasons.push({ ...reason, summary: `${kind}: ${reason.summary}` });
      }
    }
    const pause = queue.pauseTime;
    const waits = here.reduce((sum, { count }) => sum + count, 0);
    if (pause) {
      reasons.unshift({
        code: "QUEUE_PAUSED",
        summary: `the queue is paused: ${queue.pauseReason}; ${waits === 0 ? "nothing waits in it" : `${plural(waits, "task", ["waits", "wait"])} in it`}`,
        since: pause,
        evidence: [
          { key: "pause_reason", value: queue.pauseReason ?? "", source: "database" },
          { key: "ready_tasks", value: String(waits), source: "database" },
        ],
        remedy: `resume it when the reason is gone: muster queue resume ${name}`,
      });
    }
    if (reasons.length === 0) {
      reasons.push({
        code: "IDLE_NO_WORK",
        summary: "nothing that could start now waits in the queue",
        evidence: [{ key: "ready_tasks", value: "0", source: "database" }],
        remedy: "nothing to do",
      });
    }
    const state = pause ? "paused" : waits > 0 ? "waiting" : "empty";
    return { subject: `queue:${name}`, state, reasons };
  }

  async #taskReasons(task: TaskRecord): Promise<Reason[]> {
    const { store, fleet, watch, acceptDeadlineMs } = this.#parts;
    if (hasEnded(task.state))
      return [explainEnded(task, allAttempts(task, await store.getAttempts(task.id)))];
    const clock = await this.#databaseClock();
    if (task.state === "queued") return this.#waitingReasons(task, clock);
    const record = task.workerId === undefined ? undefined : await store.getWorker(task.workerId);
    const events = await store.latestTaskEvents(task.id, MAX_EVENTS);
    const now = clock();
    const holder =
      record && (record.goneTime ? { record, state: workerState(record, now) } : fleet.member(record, now));
    const behind = holder && "candidate" in holder ? await this.#behind(holder.candidate) : [];
    return explainActive({ task, holder, events, behind, watch, acceptDeadlineMs, now });
  }

  /** Classes that wait for a slot of this worker: no worker is free for them, and only its slots keep this one away. */
  async #behind(candidate: Candidate): Promise<WaitingClass[]> {
    const { classes, admission, backlog, clock } = this.#parts;
    if (candidate.credit > 0) return [];
    const now = clock.monotonic();
    return [...(await backlog.read(BACKLOG_AGE_MS))]
      .flatMap(([id, ready]): WaitingClass[] => {
        const entry = classes.get(id);
        if (!entry || ready === 0 || !admission.admits(entry.taskClass)) return [];
        if (removedBy(entry.taskClass, candidate, now) !== "slots") return [];
        return entry.log.read(now).found ? [] : [{ taskClass: entry.taskClass, ready }];
      })
      .sort((a, b) => b.ready - a.ready);
  }

  async #waitingReasons(task: TaskRecord, databaseNow: () => Date): Promise<Reason[]> {
    const { store, classes, dispatcher, fleet, clock, address, schedulerId } = this.#parts;
    await classes.load([task.classId]);
    const taskClass =
      classes.get(task.classId)?.taskClass ??
      (await classes.resolve(task.queue, task.type, task.requirements));
    const elsewhere = await fleet.elsewhere(databaseNow());
    // Also of a task whose attempts cost it nothing.
    const attempts = task.epoch > 0 ? await store.getAttempts(task.id) : [];
    const able = [...fleet.own(databaseNow()), ...elsewhere].some(
      ({ candidate }) => candidate.types.has(task.type) && candidate.queues.has(task.queue),
    );
    // Workers that have gone matter only when no living worker could run the task.
    const gone = able
      ? []
      : await store.listWorkers({ pool: undefined, beforeId: undefined, living: false, limit: MAX_GONE });
    const launching = await store.waitingLaunches(MAX_LAUNCHES);
    const failed = await store.listLaunches({
      workerId: undefined,
      pool: undefined,
      beforeId: undefined,
      failedWithinMs: FAILED_LAUNCH_NEWS_MS,
      limit: MAX_LAUNCHES,
    });
    const failures = failed.flatMap(({ launch }) => launch ?? []);
    const served = await store.servedBefore([...launching, ...failures]);
    const queue = await store.getQueue(task.queue);
    const others = elsewhere.length > 0 ? await store.otherSchedulers(schedulerId) : [];
    const rejected = able ? [] : await store.listRejectedWorkers(undefined);
    // No await from here on: the match and the state of the workers are of one moment.
    dispatcher.look(taskClass.id);
    const now = databaseNow();
    const entry = classes.get(taskClass.id);
    const monotonicNow = clock.monotonic();
    const reasons = explainWaiting({
      task,
      taskClass,
      lastAttempt: attempts.at(-1),
      queuePause: queue?.pauseTime && { reason: queue.pauseReason ?? "", since: queue.pauseTime },
      heldBack: this.#heldBack(task, taskClass, now),
      fleet: [...fleet.own(now), ...elsewhere],
      match: entry?.log.read(monotonicNow),
      monotonicNow,
      gone: gone.filter(hasRegistered),
      dispatch: this.#dispatchFacts(entry?.window.rank(task), others),
      address: address(),
      now,
    });
    const launches = { launching, failed: failures, served };
    const complete = withRejected(withLaunches(reasons, task, launches, now), task, rejected, now);
    // What began before is a reason for this task since it has been ready.
    const ready = readyTime({ task, now });
    return complete.map((reason) =>
      reason.since && reason.since < ready ? { ...reason, since: ready } : reason,
    );
  }

  /** Whether a task's queue is paused is read from the database; of the other rules this scheduler's memory has the record. */
  #heldBack(task: TaskRecord, taskClass: TaskClass, now: Date): HeldBack | undefined {
    const { admission, clock } = this.#parts;
    const { id, classId, priority } = task;
    const hold = admission.holdOf({ id, classId, priority }, taskClass);
    if (!hold || hold.reason.code === "QUEUE_PAUSED") return undefined;
    const { reason, heldAt } = hold;
    return {
      ...reason,
      since: heldAt === undefined ? undefined : new Date(now.getTime() - (clock.monotonic() - heldAt)),
    };
  }

  /**
   * The database's clock, read once: the ages in memory are of the moment at which an explanation is made, and reads
   * of a slow database come before it.
   */
  async #databaseClock(): Promise<() => Date> {
    const { store, clock } = this.#parts;
    const read = await store.databaseTime();
    const at = clock.monotonic();
    return () => new Date(read.getTime() + clock.monotonic() - at);
  }

  #dispatchFacts(aheadCount: number | undefined, others: readonly SchedulerRow[]): DispatchFacts {
    const { dispatcher, pollAgeMs } = this.#parts;
    return {
      ...dispatcher.pulse,
      pollAgeMs: pollAgeMs(),
      aheadCount,
      otherSchedulers: new Set(others.map(({ id }) => id)),
    };
  }

  #outage(error: DatabaseUnavailableError): Outage {
    const { database, clock, registry, classes } = this.#parts;
    const { outage } = database;
    const awayMs = outage?.awayMs ?? 0;
    const sessions = [...registry.all()];
    return {
      since: new Date(clock.now() - awayMs),
      awayMs,
      error: outage?.error ?? error.message,
      condition: outage?.condition ?? error.condition,
      lock: outage?.lock,
      runningCount: sessions.reduce((sum, { attempts }) => sum + attempts.size, 0),
      workerCount: sessions.filter(({ link }) => link !== undefined).length,
      waitingCount: [...classes.all()].reduce((sum, { window }) => sum + window.size, 0),
    };
  }

  #taskFromMemory(id: number, outage: Reason): Explanation {
    const subject = formatTaskId(id);
    for (const member of this.#parts.fleet.own(this.#wallNow)) {
      const held = member.held.find(({ attemptId }) => attemptId.startsWith(`${subject}.`));
      if (!held) continue;
      const reasons = [outage, heldMeanwhile(held, member.candidate.workerId)];
      return { subject, state: "running", reasons };
    }
    const { admission, classes } = this.#parts;
    const waits = admission.isHeld(id) || [...classes.all()].some(({ window }) => window.has(id));
    if (!waits) return { subject, state: "unknown", reasons: [outage] };
    return { subject, state: "queued", reasons: [outage] };
  }

  #workerFromMemory(id: string, outage: Reason): Explanation {
    const member = this.#parts.fleet.ownByName(id, this.#wallNow);
    if (!member) return { subject: id, state: "unknown", reasons: [outage] };
    const living = explainLiving(member, [], this.#wallNow);
    // The backlog is unknown now, and so is the reason of an idle worker.
    const reasons = [outage, ...living.filter(({ code }) => !code.startsWith("IDLE_"))];
    return { subject: member.candidate.workerId, state: member.state, reasons };
  }

  #queueFromMemory(name: string, outage: Reason): Explanation {
    const state = this.#parts.pausedQueues.isPaused(name) ? "paused" : "unknown";
    return { subject: `queue:${name}`, state, reasons: [outage] };
  }

  get #wallNow(): Date {
    return new Date(this.#parts.clock.now());
  }
}
