// Checks the database, the schedulers and the work, for `muster doctor`.
import type { Clock } from "../clock.ts";
import type { EffectiveSetting } from "../config/effective-settings.ts";
import type { ConcurrencyKeys } from "../dispatch/admission/concurrency-keys.ts";
import type { RateLimits } from "../dispatch/admission/rate-limits.ts";
import type { StrictOrders } from "../dispatch/admission/strict-orders.ts";
import type { ClassIndex } from "../dispatch/matching/class-index.ts";
import type { DatabaseAvailability } from "../domain/database/availability.ts";
import { addressCheck } from "../domain/diagnosis/address-check.ts";
import { type Check, skipped } from "../domain/diagnosis/check.ts";
import { databaseAway, databaseChecks } from "../domain/diagnosis/database.ts";
import { poolCheck } from "../domain/diagnosis/pool-check.ts";
import { scheduleCheck } from "../domain/diagnosis/schedule-check.ts";
import { databaseClock, schedulerChecks } from "../domain/diagnosis/schedulers.ts";
import { workChecks } from "../domain/diagnosis/work.ts";
import type { WorkFacts } from "../domain/diagnosis/work-facts.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { misfit } from "../domain/explain/capacity/never-fits.ts";
import { CONTEST_OVER_MS } from "../domain/explain/workers/contested.ts";
import type { Coverage } from "../domain/matching/coverage.ts";
import type { SchedulerStatus } from "../domain/reports.ts";
import { ON_TIME_MS } from "../domain/schedules/schedule.ts";
import type {
  CircuitStore,
  ConcurrencyStore,
  FleetStore,
  LaunchStore,
  MaintenanceStore,
  PoolStore,
  QuarantineStore,
  QueueStore,
  RateLimitStore,
  SchedulerStore,
  ScheduleStore,
  SessionStore,
  TaskStore,
} from "../store/store.ts";
import type { Logger } from "../telemetry/logs/logger.ts";
import { type FleetFactsStore, readFleet } from "./explainers/fleet-facts.ts";
import { PoolExplainer, type PoolExplainerParts } from "./explainers/pool-explainer.ts";

/** A part that takes longer is reported as a finding. */
const PART_WITHIN_MS = 3_000;

/** Reads of which the quickest counts. */
const READS = 4;

/** Failed starts are reported for this long. */
const FAILED_LAUNCHES_MS = 3_600_000;

/** Classes that are compared with the sizes of known workers. */
const MAX_COMPARED = 20;

/** Entries of each list that the checks read. */
const LIST_LIMIT = 100;

/** What was found, and by which scheduler. */
export interface Diagnosis {
  readonly schedulerId: string;
  readonly schedulerVersion: string;
  /** The scheduler's wall clock, milliseconds since the epoch. */
  readonly wallTime: number;
  readonly checks: readonly Check[];
  readonly settings: readonly EffectiveSetting[];
}

export interface DiagnoserParts {
  readonly store: FleetFactsStore &
    Pick<CircuitStore, "listCircuits"> &
    Pick<ConcurrencyStore, "keyDifferences"> &
    Pick<FleetStore, "knownSizes"> &
    Pick<LaunchStore, "listLaunches"> &
    Pick<MaintenanceStore, "inspect"> &
    Pick<PoolStore, "listPoolLaunches"> &
    Pick<QuarantineStore, "quarantinedWorkers"> &
    Pick<QueueStore, "limitedQueues" | "queueSettings"> &
    Pick<RateLimitStore, "keyPauses"> &
    Pick<SchedulerStore, "announce" | "listSchedulers"> &
    Pick<ScheduleStore, "troubledSchedules"> &
    Pick<SessionStore, "defaultAddressed" | "listContests" | "pausedWorkers"> &
    Pick<TaskStore, "longestHeld">;
  readonly classes: ClassIndex;
  readonly pools: PoolExplainerParts["pools"];
  readonly concurrencyKeys: Pick<ConcurrencyKeys, "holdReason">;
  readonly strictOrders: Pick<StrictOrders, "holdReason">;
  readonly rateLimits: Pick<RateLimits, "holdReason">;
  readonly database: Pick<DatabaseAvailability, "runOnce" | "outage">;
  readonly clock: Clock;
  readonly log: Logger;
  readonly scheduler: { readonly id: string; readonly address: string; readonly version: string };
  readonly settings: readonly EffectiveSetting[];
  /** Status of this scheduler. */
  readonly status: () => SchedulerStatus;
  /** A lease of the scheduler itself, milliseconds: its announcement is the write that is timed. */
  readonly announceMs: number;
}

/** Checks the database, the schedulers and the work; never throws for what it finds. */
export class Diagnoser {
  readonly #parts: DiagnoserParts;
  readonly #pools: PoolExplainer;
  /** A part that hangs is awaited again instead of started again: each holds a connection. */
  readonly #underWay = new Map<string, Promise<Check[]>>();

  constructor(parts: DiagnoserParts) {
    this.#parts = parts;
    this.#pools = new PoolExplainer(parts);
  }

  async diagnose(): Promise<Diagnosis> {
    const { database, clock, scheduler, settings } = this.#parts;
    await database.runOnce();
    const { outage } = database;
    // A locked database still answers which session holds the lock.
    const checks =
      outage === undefined || outage.lock
        ? (
            await Promise.all([
              this.#part("database", () => this.#database()),
              this.#part("schedulers", () => this.#schedulers()),
              this.#part("work", () => this.#work()),
            ])
          ).flat()
        : [
            ...databaseAway(outage.error, outage.condition),
            ...["schedulers.alive", "work.unserved"].map((name) =>
              skipped(name, "it is kept in the database"),
            ),
          ];
    return {
      schedulerId: scheduler.id,
      schedulerVersion: scheduler.version,
      wallTime: clock.now(),
      checks,
      settings,
    };
  }

  async #database(): Promise<Check[]> {
    const { store, clock, scheduler, announceMs, status } = this.#parts;
    const { readMs, skewMs } = await this.#timedRead();
    const report = await store.inspect();
    const clockCheck = databaseClock(skewMs, readMs);
    if (report.readOnly || report.replica)
      return [...databaseChecks(report, { readMs, writeMs: 0 }), clockCheck];
    const began = clock.monotonic();
    await store.announce({ ...scheduler, status: status() }, announceMs);
    return [...databaseChecks(report, { readMs, writeMs: clock.monotonic() - began }), clockCheck];
  }

  /** The quickest of a few reads: the first may open a connection, and this process may be busy. */
  async #timedRead(): Promise<{ readMs: number; skewMs: number }> {
    const { store, clock } = this.#parts;
    let best = { readMs: Number.POSITIVE_INFINITY, skewMs: 0 };
    for (let n = 0; n < READS; n++) {
      const asked = clock.monotonic();
      const wall = clock.now();
      const now = await store.databaseTime();
      const readMs = clock.monotonic() - asked;
      if (readMs < best.readMs) best = { readMs, skewMs: wall + readMs / 2 - now.getTime() };
    }
    return best;
  }

  async #schedulers(): Promise<Check[]> {
    const { store, scheduler, status } = this.#parts;
    const [all, now] = [await store.listSchedulers(), await store.databaseTime()];
    const known = all.find(({ id }) => id === scheduler.id);
    const self = {
      ...scheduler,
      startTime: known?.startTime ?? now,
      announceTime: known?.announceTime ?? now,
      leaseUntil: known?.leaseUntil ?? now,
      status: status(),
    };
    return schedulerChecks({ self, all, queueModes: await store.queueSettings(), now });
  }

  async #work(): Promise<Check[]> {
    const facts = await readFleet(this.#parts.store, this.#parts.classes, LIST_LIMIT);
    const failed = await this.#parts.store.listLaunches({
      workerId: undefined,
      pool: undefined,
      beforeId: undefined,
      failedWithinMs: FAILED_LAUNCHES_MS,
      limit: LIST_LIMIT,
    });
    const contests = await this.#parts.store.listContests({
      workerId: undefined,
      withinMs: CONTEST_OVER_MS,
      limit: LIST_LIMIT,
    });
    const troubled = await this.#parts.store.troubledSchedules(ON_TIME_MS, LIST_LIMIT);
    const checks = workChecks({
      contests,
      fleet: facts.report,
      classes: facts.classes,
      pausedQueues: facts.queues.flatMap(({ name, pauseReason, pauseTime }) =>
        pauseTime ? [{ name, reason: pauseReason ?? "", since: pauseTime }] : [],
      ),
      held: await this.#parts.store.longestHeld(LIST_LIMIT),
      limitedQueues: await this.#parts.store.limitedQueues(),
      pausedWorkers: await this.#parts.store.pausedWorkers(),
      quarantinedWorkers: await this.#parts.store.quarantinedWorkers(LIST_LIMIT),
      rejected: facts.rejected,
      failedLaunches: failed.flatMap(({ workerId, launch }) =>
        launch?.end ? [{ workerId, reason: launch.end.reason, time: launch.end.time }] : [],
      ),
      misfits: await this.#misfits(facts.classes),
      circuits: (await this.#parts.store.listCircuits({ notClosed: true, limit: LIST_LIMIT })).map(
        ({ circuit }) => circuit,
      ),
      pausedKeys: await this.#parts.store.keyPauses(LIST_LIMIT),
      keyDifferences: await this.#parts.store.keyDifferences(LIST_LIMIT),
      isKeyHeld: (taskClass) =>
        this.#parts.concurrencyKeys.holdReason(taskClass) !== undefined ||
        this.#parts.strictOrders.holdReason(taskClass) !== undefined ||
        this.#parts.rateLimits.holdReason(taskClass) !== undefined,
      typeOf: (classId) => facts.classOf(classId)?.type ?? "",
      now: facts.now,
    });
    return [
      ...checks,
      addressCheck(await this.#parts.store.defaultAddressed(LIST_LIMIT)),
      scheduleCheck(troubled.schedules, troubled.nowMs),
      ...poolCheck(await this.#pools.explainAll()),
    ];
  }

  /** Of the classes that no living worker can run, those that cost more than any known worker has. */
  async #misfits(classes: readonly Coverage[]): Promise<WorkFacts["misfits"]> {
    const unserved = classes.filter(
      ({ ready, eligible, taskClass }) => ready > 0 && eligible === 0 && taskClass.requirements.cost,
    );
    const found: WorkFacts["misfits"][number][] = [];
    for (const { taskClass, ready } of unserved.slice(0, MAX_COMPARED)) {
      const why = misfit(taskClass, await this.#parts.store.knownSizes(taskClass));
      if (why) found.push({ ...why, taskClass, ready });
    }
    return found;
  }

  /** The checks of a part, or one that names why it failed or did not end. */
  async #part(name: string, look: () => Promise<Check[]>): Promise<Check[]> {
    const { clock } = this.#parts;
    const under = this.#underWay.get(name) ?? this.#begin(name, look);
    const done = new AbortController();
    const late = clock.sleep(PART_WITHIN_MS, done.signal).then(() => undefined);
    const checks = await Promise.race([under, late]);
    done.abort();
    return checks ?? [unanswered(name, `the database has not answered for ${PART_WITHIN_MS / 1_000} s`)];
  }

  #begin(name: string, look: () => Promise<Check[]>): Promise<Check[]> {
    const checks = look()
      .catch((error: unknown) => {
        if (error instanceof DatabaseUnavailableError)
          return name === "database"
            ? databaseAway(error.message, error.condition)
            : [skipped(`${name}.read`, error.message)];
        this.#parts.log.error("diagnosis.failed", { part: name, error });
        return [unanswered(name, error instanceof Error ? error.message : String(error))];
      })
      .finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, checks);
    return checks;
  }
}

function unanswered(part: string, why: string): Check {
  return {
    name: `${part}.read`,
    status: "failed",
    summary: `the check of ${part} did not end: ${why}`,
    evidence: [],
    remedy: "check the scheduler's log and what its statements wait for (pg_stat_activity)",
  };
}
