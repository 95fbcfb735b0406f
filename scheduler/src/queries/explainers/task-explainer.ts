/** Explains why a task stands where it stands. */

import { sidesOfTask } from "../../domain/builds/build-rule.ts";
import type { AwaitedTask, Holder } from "../../domain/explain/assigned/active-facts.ts";
import { slotReleaseOf } from "../../domain/explain/assigned/without-slots.ts";
import { type CostRaised, toCostRaises } from "../../domain/explain/capacity/cost-raised.ts";
import type { ReasonCode } from "../../domain/explain/codes.ts";
import { allAttempts } from "../../domain/explain/ended/attempts.ts";
import type { FleetMember } from "../../domain/explain/fleet.ts";
import type { AskedRate } from "../../domain/explain/limits/rate-limited.ts";
import { withPools } from "../../domain/explain/pools.ts";
import type { Reason } from "../../domain/explain/reason.ts";
import { explainActive, explainEnded } from "../../domain/explain/task.ts";
import type { DispatchFacts } from "../../domain/explain/waiting/delayed.ts";
import { withLaunches } from "../../domain/explain/waiting/starting.ts";
import { explainWaiting, readyTime } from "../../domain/explain/waiting/waiting.ts";
import type { WaitingFacts } from "../../domain/explain/waiting/waiting-facts.ts";
import { withRejected } from "../../domain/explain/workers/rejected.ts";
import type { WaitingClass } from "../../domain/explain/workers/worker.ts";
import { formatAttemptId, formatTaskId, parseTaskId } from "../../domain/ids.ts";
import type { KnownSize } from "../../domain/matching/known-size.ts";
import { type Candidate, type Filter, removedBy, type TaskClass } from "../../domain/matching/match.ts";
import { type CircuitAsked, withoutCircuitLock } from "../../domain/tasks/limits/circuit.ts";
import type { AskedKey, OlderTask } from "../../domain/tasks/limits/concurrency.ts";
import { queueRateKey } from "../../domain/tasks/limits/rate-limit.ts";
import { hasEnded, type TaskRecord } from "../../domain/tasks/task.ts";
import { hasRegistered, workerState } from "../../domain/workers/worker.ts";
import type { SchedulerRow } from "../../store/store.ts";
import { BACKLOG_AGE_MS, type ExplainerParts, readDatabaseClock } from "./explainer-parts.ts";
import { PoolExplainer } from "./pool-explainer.ts";
import { readTurn } from "./turn.ts";
import { readWithheld } from "./withheld.ts";

/** Workers that have gone and are read to find one that could have run a task. */
const MAX_GONE = 200;

/** A failed start is a reason for a waiting task for a day, unless the worker was started again. */
const FAILED_LAUNCH_NEWS_MS = 24 * 3_600_000;
const MAX_LAUNCHES = 100;

/** Holders of a concurrency key that are named. */
const MAX_HOLDERS = 5;

/** Raises of the cost that are named: the latest ones. */
const MAX_RAISES = 10;

/** Filters of workers that do not show that a worker is large enough. */
const TOO_SMALL: ReadonlySet<Filter> = new Set(["type", "queue", "labels", "capacity"]);
/** Reasons of admission rules that the explanation has from the database instead. */
const READ_CODES: ReadonlySet<ReasonCode> = new Set([
  "CIRCUIT_OPEN",
  "QUEUE_PAUSED",
  "CONCURRENCY_KEY_HELD",
  "OLDER_TASK_FIRST",
  "RATE_LIMITED",
  "KEY_PAUSED",
]);

/** Tasks that are read of those that a handler waits for. */
const MAX_AWAITED = 5;

/** Latest events that are read: those of open phases are among them. */
const MAX_EVENTS = 200;

export class TaskExplainer {
  readonly #parts: ExplainerParts;

  readonly #pools: PoolExplainer;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
    this.#pools = new PoolExplainer(parts);
  }

  /** The most important reason first; never empty. */
  async reasons(task: TaskRecord): Promise<Reason[]> {
    const { store, fleet, watch, acceptDeadlineMs } = this.#parts;
    if (hasEnded(task.state)) {
      const { uniqueKey: key, queue } = task;
      const keyOwner = key === undefined ? undefined : await store.keyOwner(queue, key);
      return [explainEnded(task, allAttempts(task, await store.getAttempts(task.id)), keyOwner)];
    }
    const clock = await readDatabaseClock(this.#parts);
    if (task.state === "queued") return this.#waitingReasons(task, clock, true);
    const record = task.workerId === undefined ? undefined : await store.getWorker(task.workerId);
    const events = await store.latestTaskEvents(task.id, MAX_EVENTS);
    const now = clock();
    const holder =
      record && (record.goneTime ? { record, state: workerState(record, now) } : fleet.member(record, now));
    const withheld = mayBeWithheld(task, holder)
      ? await readWithheld(this.#parts, task.queue, record?.schedulerId, now)
      : {};
    const behind = holder && "candidate" in holder ? await this.#behind(holder.candidate) : [];
    const awaited = await this.#awaited(task, holder, clock);
    return explainActive({ task, holder, events, behind, awaited, withheld, watch, acceptDeadlineMs, now });
  }

  /** The first tasks that its handler waits for without its slots, and why the first queued one waits; read only then. */
  async #awaited(
    { id: taskId, epoch }: TaskRecord,
    holder: Holder | undefined,
    clock: () => Date,
  ): Promise<AwaitedTask[]> {
    const attemptId = formatAttemptId({ taskId, epoch });
    const running = holder?.record.heartbeat?.running.find((each) => each.attemptId === attemptId);
    const { taskIds = [] } = slotReleaseOf(holder, attemptId, running, 0) ?? {};
    const awaited: AwaitedTask[] = [];
    let explained = false;
    for (const id of taskIds.slice(0, MAX_AWAITED)) {
      const task: TaskRecord | undefined = await this.#parts.store.getTask(parseTaskId(id) ?? 0);
      if (!task) continue;
      const asks: boolean = task.state === "queued" && !explained;
      const reasons: readonly Reason[] = asks ? await this.#waitingReasons(task, clock, false) : [];
      explained ||= asks;
      awaited.push({ task, reason: reasons[0] });
    }
    return awaited;
  }

  /** Classes that wait for a slot of this worker: no worker is free for them, and only its slots keep this one away. */
  async #behind(candidate: Candidate): Promise<WaitingClass[]> {
    const { classes, admission, backlog, clock } = this.#parts;
    if (candidate.credit > 0 && candidate.slots === 1 && candidate.capacities.size === 0) return [];
    const now = clock.monotonic();
    return [...(await backlog.read(BACKLOG_AGE_MS))]
      .flatMap(([id, ready]): WaitingClass[] => {
        const entry = classes.get(id);
        // Of tasks that take one slot, only the slots are of interest, not the concurrency of the type.
        const takesMore = entry?.taskClass.requirements.cost !== undefined;
        if (!entry || ready === 0 || (candidate.credit > 0 && !takesMore)) return [];
        if (!admission.admits(entry.taskClass)) return [];
        if (removedBy(entry.taskClass, candidate, now) !== "slots") return [];
        return entry.log.read(now).found ? [] : [{ taskClass: entry.taskClass, ready }];
      })
      .sort((a, b) => b.ready - a.ready);
  }

  /** @param olderOnes Whether the reasons of older tasks that go first are read, too. */
  async #waitingReasons(task: TaskRecord, databaseNow: () => Date, olderOnes: boolean): Promise<Reason[]> {
    const { store, classes, dispatcher, fleet, clock, address, schedulerId } = this.#parts;
    await classes.load([task.classId]);
    const ofClass = classes.get(task.classId)?.taskClass ?? (await classes.resolve(task));
    // Of a ramp, what this task asks.
    const taskClass = { ...ofClass, builds: sidesOfTask(ofClass.builds, task.id) };
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
    const known = await this.#knownSizes(taskClass, [...fleet.own(databaseNow()), ...elsewhere]);
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
    const starting = [...fleet.own(databaseNow()), ...elsewhere].flatMap(({ record }) =>
      record.ready ? [] : [{ workerId: record.workerId, pool: record.hello.pool }],
    );
    const earlier = await store.earlierStarts([...launching, ...starting.slice(0, MAX_LAUNCHES)]);
    const batch = task.waitsForTasks ? await store.getBatch(task.id) : undefined;
    const predecessors = task.waitsForTasks && !batch ? await store.predecessors(task.id) : undefined;
    const queue = await store.getQueue(task.queue);
    const others = elsewhere.length > 0 ? await store.otherSchedulers(schedulerId) : [];
    const rejected = able ? [] : await store.listRejectedWorkers(undefined);
    const asked = {
      keys: await this.#askedKeys(task, (id) => this.#olderTask(id, databaseNow, olderOnes)),
      rates: await this.#askedRates(task),
      circuit: await this.#askedCircuit(task),
    };
    const raises = await this.#costRaises(task);
    const withheld = await readWithheld(this.#parts, task.queue, undefined, databaseNow());
    const turn = await readTurn(this.#parts, task, databaseNow());
    const pools = await this.#pools.all();
    // No await from here on: the match and the state of the workers are of one moment.
    dispatcher.look(taskClass.id);
    const now = databaseNow();
    const entry = classes.get(taskClass.id);
    const monotonicNow = clock.monotonic();
    const reasons = explainWaiting({
      task,
      taskClass,
      lastAttempt: attempts.at(-1),
      retry: this.#parts.retryPolicies.resolve(task.options, task.queue),
      predecessors,
      batch,
      queuePause: queue?.pauseTime && { reason: queue.pauseReason ?? "", since: queue.pauseTime },
      ...this.#heldBack(task, taskClass, asked, now),
      fleet: [...fleet.own(now), ...elsewhere],
      known,
      raises,
      withheld,
      earlier,
      match: entry?.log.read(monotonicNow),
      monotonicNow,
      gone: gone.filter(hasRegistered),
      dispatch: this.#dispatchFacts(entry?.window.rank(task), others),
      turn,
      address: address(),
      now,
    });
    const launches = { launching, failed: failures, served, earlier };
    const withoutPools = withRejected(withLaunches(reasons, task, launches, now), task, rejected, now);
    const complete = withPools(withoutPools, taskClass, pools.pools, pools.nowMs);
    // What began before is a reason for this task since it has been ready.
    const ready = readyTime({ task, now });
    return complete.map((reason) =>
      reason.since && reason.since < ready ? { ...reason, since: ready } : reason,
    );
  }

  /** Read only for a task that costs more than every living worker of its type, queue and labels has. */
  async #knownSizes(taskClass: TaskClass, fleet: readonly FleetMember[]): Promise<readonly KnownSize[]> {
    if (taskClass.requirements.cost === undefined) return [];
    const isLargeEnough = ({ candidate }: FleetMember) => {
      const filter = removedBy(taskClass, candidate);
      return filter === undefined || !TOO_SMALL.has(filter);
    };
    return fleet.some(isLargeEnough) ? [] : this.#parts.store.knownSizes(taskClass);
  }

  /** Read only for a task whose policy raises its cost after a death by memory. */
  async #costRaises({ id, epoch, options }: TaskRecord): Promise<readonly CostRaised[]> {
    if (epoch === 0 || options?.retry?.onOutOfMemory?.cost === undefined) return [];
    return toCostRaises(await this.#parts.store.costRaises(id, MAX_RAISES));
  }

  /** Queues, keys and rate limits are read from the database; of the other rules this scheduler's memory has the record. */
  #heldBack(
    task: TaskRecord,
    taskClass: TaskClass,
    asked: {
      readonly keys: readonly AskedKey[];
      readonly rates: readonly AskedRate[];
      readonly circuit: CircuitAsked | undefined;
    },
    now: Date,
  ): Pick<WaitingFacts, "circuit" | "heldBack" | "keys" | "rates"> {
    const { admission, clock } = this.#parts;
    const { id, classId, priority } = task;
    const hold = admission.holdOf({ id, classId, priority }, taskClass);
    const since =
      hold?.heldAt === undefined ? undefined : new Date(now.getTime() - (clock.monotonic() - hold.heldAt));
    const code = hold?.reason.code;
    const sinceIf = (wanted: ReasonCode) => (code === wanted ? since : undefined);
    const read = {
      ...(asked.keys.length > 0
        ? {
            keys: {
              asked: asked.keys,
              fullSince: sinceIf("CONCURRENCY_KEY_HELD"),
              behindSince: sinceIf("OLDER_TASK_FIRST"),
            },
          }
        : {}),
      ...(asked.rates.length > 0
        ? { rates: { asked: asked.rates, emptySince: sinceIf("RATE_LIMITED") } }
        : {}),
      ...(asked.circuit ? { circuit: { asked: asked.circuit, since: sinceIf("CIRCUIT_OPEN") } } : {}),
    };
    if (!hold || READ_CODES.has(hold.reason.code)) return read;
    return { ...read, heldBack: { ...hold.reason, since } };
  }

  /** The task's concurrency keys with those that hold them. */
  async #askedKeys(
    { id, concurrency = [] }: TaskRecord,
    readOlder: (id: number) => Promise<OlderTask | undefined>,
  ): Promise<AskedKey[]> {
    const asked: AskedKey[] = [];
    for (const { key, limit, strict } of withoutCircuitLock(concurrency)) {
      const filter = { key, blocked: false, limit: 1, maxHolders: MAX_HOLDERS };
      const [lock] = await this.#parts.store.listLocks(filter);
      const [order] = strict ? await this.#parts.store.keyOrders([key]) : [];
      const first = order?.first;
      asked.push({
        key,
        limit,
        held: lock?.held ?? 0,
        override: lock?.override,
        holders: lock?.holders ?? [],
        older: first && first.id < id ? await readOlder(first.id) : undefined,
      });
    }
    return asked;
  }

  /** A task that goes first; undefined when it waits no longer. */
  async #olderTask(
    id: number,
    databaseNow: () => Date,
    withReasons: boolean,
  ): Promise<OlderTask | undefined> {
    const task = await this.#parts.store.getTask(id);
    if (task?.state !== "queued") return undefined;
    const { type, queue } = task;
    // One step: what an older task waits behind is in that one's own explanation.
    const [reason] = withReasons ? await this.#waitingReasons(task, databaseNow, false) : [];
    const why = reason ?? { code: "", summary: "", remedy: `run \`muster why ${formatTaskId(id)}\`` };
    const since = reason?.since ?? task.readyTime;
    return { id, type, queue, since, code: why.code, summary: why.summary, remedy: why.remedy };
  }

  /** The rate limits of the task and of its queue with their buckets. */
  async #askedRates({ rateLimits = [], queue }: TaskRecord): Promise<AskedRate[]> {
    const { store } = this.#parts;
    const asked: AskedRate[] = [];
    for (const { key, ...own } of rateLimits) {
      const [state] = await store.listRateLimits({ key, limit: 1 });
      asked.push({ key, own, state, waiting: state?.waiting ?? 0 });
    }
    const key = queueRateKey(queue);
    const [state] = await store.listRateLimits({ key, limit: 1 });
    return state ? [...asked, { key, own: undefined, state, waiting: 0 }] : asked;
  }

  /** The task's circuit as the database has it; undefined when it has none, or one that is closed. */
  async #askedCircuit({ circuit }: TaskRecord): Promise<CircuitAsked | undefined> {
    if (!circuit) return undefined;
    const [row] = await this.#parts.store.listCircuits({ key: circuit.key, notClosed: true, limit: 1 });
    return row;
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
}

/** Its worker does not answer, has not accepted it, or does not list it. */
function mayBeWithheld({ id, state }: TaskRecord, holder: Holder | undefined): boolean {
  if (!holder) return false;
  const unlisted = holder.record.heartbeat?.verdict?.unlisted.some(({ taskId }) => taskId === id);
  return state === "assigned" || holder.state === "suspect" || unlisted === true;
}
