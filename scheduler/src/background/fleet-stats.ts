/** Counts tasks and workers of all schedulers for metrics and the monitor. */
import type { Clock } from "../clock.ts";
import type { Admission } from "../dispatch/admission/admission.ts";
import type { Peers } from "../dispatch/claiming/peers.ts";
import type { ClassIndex } from "../dispatch/matching/class-index.ts";
import { isAbsence } from "../domain/errors.ts";
import { unused } from "../domain/matching/capacity.ts";
import { type Candidate, type Filter, removedBy, type TaskClass } from "../domain/matching/match.ts";
import { RecentCompletions } from "../domain/recent-completions.ts";
import { RECENT_MS } from "../domain/workers/completions.ts";
import { type WorkerRecord, workerState } from "../domain/workers/worker.ts";
import { Slices } from "../slices.ts";
import type {
  ClassDepth,
  FleetStore,
  MaintenanceStore,
  QueueStore,
  StatisticsStore,
  WorkerCount,
} from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";

/** A read within this gets the same answer, milliseconds. */
const FRESH_MS = 2_000;

/** A count that took long is not repeated before so many times its duration: 5 % of one connection at most. */
const REST_FACTOR = 20;

/** A read waits for a new count no longer than this, and then gets the one before, milliseconds. */
const WAIT_MS = 1_000;

/** Counts older than this are not used, milliseconds. */
const STALE_MS = 120_000;

/** Workers of other schedulers that are searched for one that is eligible for a waiting class. */
const MAX_FLEET = 2_000;

/** What the whole database holds, whichever scheduler is asked. */
export interface FleetSnapshot {
  readonly classes: readonly ClassDepth[];
  readonly workers: readonly WorkerCount[];
  /** What has succeeded of late. */
  readonly recent: RecentCompletions;
  /** Ids of the classes that have claimable tasks and no worker that could be given one, now or when it is free. */
  readonly unserved: ReadonlySet<number>;
}

/** A worker removed by one of these is busy, not missing. */
const PASSING: ReadonlySet<Filter> = new Set(["paused", "quarantined", "slots"]);

/** Counts tasks and workers for the gauges, and takes at most 5 % of one connection. */
export class FleetStats {
  readonly #parts: FleetStatsParts;
  #last: { readonly snapshot: FleetSnapshot; readonly at: number } | undefined;
  #running: Promise<void> | undefined;
  #restUntil = Number.NEGATIVE_INFINITY;

  constructor(parts: FleetStatsParts) {
    this.#parts = parts;
  }

  /** The newest count there is within a second; undefined when the database has long been away. Never rejects. */
  async read(): Promise<FleetSnapshot | undefined> {
    const { clock } = this.#parts;
    if (clock.monotonic() >= this.#restUntil) {
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined;
      });
    }
    if (this.#running) {
      const done = new AbortController();
      await Promise.race([this.#running, clock.sleep(WAIT_MS, done.signal)]);
      done.abort();
    }
    const last = this.#last;
    return last && clock.monotonic() - last.at < STALE_MS ? last.snapshot : undefined;
  }

  async #run(): Promise<void> {
    const { clock, log } = this.#parts;
    const began = clock.monotonic();
    try {
      const snapshot = await this.#count();
      this.#last = { snapshot, at: clock.monotonic() };
    } catch (error) {
      // The database watch logs the database's absence.
      if (!isAbsence(error)) log.error("census.failed", { error });
    } finally {
      const now = clock.monotonic();
      this.#restUntil = now + Math.max(FRESH_MS, (now - began) * REST_FACTOR);
    }
  }

  async #count(): Promise<FleetSnapshot> {
    const { store } = this.#parts;
    const [classes, workers, recent] = await Promise.all([
      store.depths(),
      store.countWorkers(),
      store.recentCompletions(RECENT_MS),
    ]);
    await this.#parts.classes.load(classes.map(({ classId }) => classId));
    return {
      ...{ classes, workers, recent: new RecentCompletions(recent) },
      unserved: await this.#unserved(classes),
    };
  }

  async #unserved(depths: readonly ClassDepth[]): Promise<ReadonlySet<number>> {
    const { classes, admission, peers } = this.#parts;
    const slices = new Slices();
    const missing: TaskClass[] = [];
    for (const { classId, ready } of depths) {
      if (slices.isOver) await slices.next();
      const entry = ready > 0 ? classes.get(classId) : undefined;
      if (!entry || !admission.admits(entry.taskClass)) continue;
      if (!entry.eligible.some((session) => serves(entry.taskClass, session))) missing.push(entry.taskClass);
    }
    if (missing.length === 0 || peers.count === 0) return new Set(missing.map(({ id }) => id));
    const others = byType(await this.#everyWorker());
    const unserved = new Set<number>();
    for (const taskClass of missing) {
      if (slices.isOver) await slices.next();
      if (!others.get(taskClass.type)?.some((worker) => serves(taskClass, worker)))
        unserved.add(taskClass.id);
    }
    return unserved;
  }

  async #everyWorker(): Promise<Candidate[]> {
    const { store } = this.#parts;
    const filter = { pool: undefined, living: true, beforeId: undefined, limit: MAX_FLEET };
    const [workers, now] = await Promise.all([store.listWorkers(filter), store.databaseTime()]);
    return workers.map((record) => toCandidate(record, now));
  }
}

/** Workers by each type that they serve: thousands of both make millions of pairs. */
function byType(workers: readonly Candidate[]): ReadonlyMap<string, readonly Candidate[]> {
  const found = new Map<string, Candidate[]>();
  for (const worker of workers) {
    for (const type of worker.types.keys()) {
      const others = found.get(type);
      if (others) others.push(worker);
      else found.set(type, [worker]);
    }
  }
  return found;
}

function serves(taskClass: TaskClass, worker: Candidate): boolean {
  const filter = removedBy(taskClass, worker);
  return filter === undefined || PASSING.has(filter);
}

/** As free as can be: what it is doing passes. */
function toCandidate(record: WorkerRecord, now: Date): Candidate {
  const { hello, heartbeat, workerId, draining } = record;
  return {
    workerId,
    ready: workerState(record, now) === "ready",
    draining,
    pauseReason: undefined,
    queues: new Set(hello.queues),
    types: new Map(hello.types.map(({ type }) => [type, { limit: Number.POSITIVE_INFINITY, active: 0 }])),
    labels: hello.labels,
    resources: new Set(heartbeat?.resources ?? hello.resources),
    slots: heartbeat?.slots || hello.slots,
    credit: heartbeat?.slots || hello.slots,
    capacities: unused(hello.capacities),
  };
}

export interface FleetStatsParts {
  readonly store: Pick<QueueStore, "depths"> &
    Pick<FleetStore, "countWorkers" | "listWorkers"> &
    Pick<MaintenanceStore, "databaseTime"> &
    Pick<StatisticsStore, "recentCompletions">;
  readonly classes: ClassIndex;
  readonly admission: Admission;
  readonly peers: Peers;
  readonly clock: Clock;
  readonly log: Logger;
}
