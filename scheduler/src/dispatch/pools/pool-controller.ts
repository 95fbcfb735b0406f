/** Keeps the right number of workers in each pool. */
import { randomBytes } from "node:crypto";
import { decide } from "../../domain/pools/decision/decision.ts";
import type { LaunchChange, PoolDecision, PoolFacts } from "../../domain/pools/decision/pool-decision.ts";
import type { PoolRecord } from "../../domain/pools/pool.ts";
import { MOST_POOLS } from "../../domain/pools/pool-changes.ts";
import type { NextTime } from "../../domain/pools/scale.ts";
import { CronTimes } from "../../domain/schedules/cron.ts";
import type { KnownPool, PoolStore, SchedulerStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import type { TaskControl } from "../attempts/task-control.ts";
import { type PoolDemandParts, readDemand } from "./pool-demand.ts";

/** Another scheduler decides after this when the leader is gone, milliseconds. */
const LEADER_LEASE_MS = 5_000;

/** Counts of waiting tasks that are younger are not read again, milliseconds. */
const DEMAND_AGE_MS = 200;

/** What the controller works with. */
export interface PoolControllerParts extends PoolDemandParts {
  readonly store: PoolDemandParts["store"] &
    Pick<PoolStore, "decidePool" | "listPools"> &
    Pick<SchedulerStore, "lead">;
  readonly control: Pick<TaskControl, "drain">;
  readonly schedulerId: string;
  readonly log: Logger;
  readonly counters: Pick<Counters, "poolLaunches" | "poolFailedStarts" | "poolRollouts">;
}

/** What would be decided of a pool now. */
export interface PlannedPool {
  readonly known: KnownPool;
  readonly decision: PoolDecision;
}

/**
 * Decides for all pools, one scheduler at a time. A decision is stored before a launcher receives it, and what it rests on is
 * read in its own transaction: a restart forgets nothing. While there is no pool, it sends no statement.
 */
export class PoolController {
  readonly #parts: PoolControllerParts;
  readonly #cron = new Map<string, CronTimes>();
  #due = false;
  #any = false;

  constructor(parts: PoolControllerParts) {
    this.#parts = parts;
  }

  /** False while there is no pool: nothing has to be read. */
  get any(): boolean {
    return this.#any;
  }

  /** There are pools, or there may be: the next run looks. */
  look(): void {
    this.#due = true;
    this.#any = true;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    if (!this.#due) return;
    this.#due = false;
    const { store, schedulerId } = this.#parts;
    if (!(await store.lead("pools", schedulerId, LEADER_LEASE_MS))) return;
    const { pools, nowMs } = await store.listPools({ afterName: undefined, limit: MOST_POOLS });
    this.#any = pools.length > 0;
    if (!this.#any) return;
    const demand = await readDemand(this.#parts, pools, DEMAND_AGE_MS);
    for (const known of pools) {
      const { name } = known.pool.spec;
      const waiting = demand.get(name) ?? 0;
      const withWork = (facts: Omit<PoolFacts, "waiting" | "nextTime" | "newId">) =>
        decide({ ...facts, waiting, nextTime: this.#nextTime, newId: () => newLaunchId(name) });
      // The row is locked only for a decision that changes something.
      if (!isChange(known, withWork({ ...known, nowMs }))) continue;
      const decision = await store.decidePool(name, withWork);
      if (decision) await this.#carryOut(known, decision);
    }
  }

  /**
   * What would be decided now of every pool, by name.
   *
   * @param instead Changes a pool, or adds one, as if that had been applied.
   * @throws DatabaseUnavailableError
   */
  async plan(
    instead: (pools: readonly KnownPool[], nowMs: number) => readonly KnownPool[] = (pools) => pools,
  ): Promise<{ readonly pools: ReadonlyMap<string, PlannedPool>; readonly nowMs: number }> {
    const { pools: found, nowMs } = await this.#parts.store.listPools({
      afterName: undefined,
      limit: MOST_POOLS,
    });
    if (found.length === 0) this.#any = false;
    const pools = instead(found, nowMs);
    const demand = pools.length === 0 ? new Map() : await readDemand(this.#parts, pools, DEMAND_AGE_MS);
    const nextTime = this.#nextTime;
    const planned = pools.map((known): [string, PlannedPool] => {
      const { name } = known.pool.spec;
      const waiting = demand.get(name) ?? 0;
      return [
        name,
        { known, decision: decide({ ...known, nowMs, waiting, nextTime, newId: () => newLaunchId(name) }) },
      ];
    });
    return { pools: new Map(planned), nowMs };
  }

  async #carryOut({ pool }: KnownPool, decided: PoolDecision): Promise<void> {
    const { changes, launches, guard } = decided;
    const { log, counters, control } = this.#parts;
    const { name } = pool.spec;
    for (const { launchId, reason, probe } of launches) {
      counters.poolLaunches.add("ordered");
      log.info("pool.launch_ordered", { pool: name, launch_id: launchId, reason, probe });
    }
    for (const change of changes) this.#logChange(name, change);
    this.#logRollout(pool, decided);
    const [before, after] = [pool.memory.guard.now, guard.now];
    if (after.state === "open" && (before.state !== "open" || before.openings !== after.openings)) {
      const { starts, failed, cause, openings } = after;
      log.error("pool.launches_suspended", { pool: name, starts, failed, cause, openings });
    } else if (after.state === "closed" && before.state !== "closed")
      log.info("pool.launches_allowed", { pool: name });
    for (const change of changes) {
      if (change.kind === "drain") await control.drain(change.drain, change.reason, change.timeoutMs);
      else if (change.kind === "stop" && change.drain !== undefined)
        await control.drain(change.drain, change.stop.reason, undefined);
    }
  }

  #logRollout({ spec, rollout: before }: PoolRecord, { rollout, rollBack }: PoolDecision): void {
    const { log, counters } = this.#parts;
    const { now, stable } = rollout;
    const pool = spec.name;
    if (rollBack) {
      counters.poolRollouts.add("rolled_back");
      log.warn("pool.rolled_back", { pool, template_version: rollBack.version, reason: now?.reason ?? "" });
    } else if (now?.pause && !before.now?.pause) {
      const { failed, cause, launchId, summary } = now.pause;
      counters.poolRollouts.add("paused");
      log.error("pool.rollout_paused", { pool, failed, cause, launch_id: launchId, summary });
    } else if (before.now && !now) {
      counters.poolRollouts.add("completed");
      log.info("pool.rollout_completed", {
        ...{ pool, template_version: stable?.version ?? 0, build: stable?.build ?? "" },
      });
    }
  }

  #logChange(pool: string, change: LaunchChange): void {
    const { log, counters } = this.#parts;
    const fields = { pool, launch_id: change.launch.launchId };
    switch (change.kind) {
      case "ready":
        counters.poolLaunches.add("ready");
        log.info("pool.launch_ready", { ...fields, start_ms: Math.round(change.startMs) });
        break;
      case "stop":
        log.info("pool.launch_stopping", { ...fields, kind: change.stop.kind, reason: change.stop.reason });
        break;
      case "end_process":
        if (change.overdue) log.warn("pool.drain_overdue", fields);
        break;
      case "drain":
        break;
      case "ended": {
        const { outcome, diagnosis } = change;
        counters.poolLaunches.add(outcome);
        if (outcome === "failed_start") counters.poolFailedStarts.add(diagnosis?.cause ?? "");
        const why = diagnosis ? { cause: diagnosis.cause, summary: diagnosis.summary } : {};
        if (outcome === "failed_start") log.error("pool.launch_failed", { ...fields, ...why });
        else log.info("pool.launch_ended", { ...fields, outcome, ...why });
        break;
      }
      default: {
        const unknown: never = change;
        throw new TypeError(`unknown change of a launch ${JSON.stringify(unknown)}`);
      }
    }
  }

  readonly #nextTime: NextTime = (cron, timezone, afterMs) => {
    const key = `${timezone} ${cron}`;
    const times = this.#cron.get(key) ?? new CronTimes(cron, timezone);
    this.#cron.set(key, times);
    return times.nextAfter(afterMs);
  };
}

function isChange(
  { pool }: KnownPool,
  { changes, launches, guard, wanted, rollout, remove }: PoolDecision,
): boolean {
  return (
    remove ||
    rollout !== pool.rollout ||
    changes.length > 0 ||
    launches.length > 0 ||
    guard !== pool.memory.guard ||
    wanted !== pool.memory.wanted
  );
}

/** The form of a DNS label: engines name containers and pods by it. */
function newLaunchId(pool: string): string {
  return `${pool}-${randomBytes(6).toString("hex")}`;
}
