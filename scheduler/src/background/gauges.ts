/** The values of the gauges at a collection of metrics. */
import type { Clock } from "../clock.ts";
import type { DescriptorUse } from "../descriptors.ts";
import { stuckAttempt } from "../dispatch/attempts/attempt-watch.ts";
import type { Dispatch } from "../dispatch/dispatch.ts";
import { type Capacity, SLOTS } from "../domain/matching/capacity.ts";
import type { WatchSettings } from "../domain/tasks/attempts/watchdog.ts";
import { Slices } from "../slices.ts";
import type { Gauges, TaskGauges } from "../telemetry/metrics/gauge-values.ts";
import { TASK_STATES, WORKER_STATES } from "../telemetry/metrics/gauge-values.ts";
import type { DatabaseWatch } from "./database-watch.ts";
import type { FleetSnapshot, FleetStats } from "./fleet-stats.ts";
import type { Loop } from "./loop.ts";
import { measurePools } from "./pool-gauges.ts";

/** Most pools with a label of their own, most phases and most capacities; the rest share `other`. */
const MAX_VALUES = 100;

/** Labels that a gauge has had: without a new measurement one would keep its last value. */
export class SeenLabels {
  readonly pools = new Set<string>([""]);
  readonly phases = new Set<string>();
  readonly capacities = new Set<string>([SLOTS]);
  readonly launching = new Set<string>();
}

/** Measures what the gauges show. */
export async function measureGauges(parts: {
  fleetStats: FleetStats;
  dispatch: Pick<Dispatch, "circuits" | "classes" | "counters" | "pools" | "rateLimits" | "registry">;
  database: DatabaseWatch;
  loops: readonly Loop[];
  clock: Clock;
  watch: WatchSettings;
  seen: SeenLabels;
  descriptors: { readonly use: DescriptorUse };
}): Promise<Gauges> {
  const { fleetStats, dispatch, database, loops, clock, watch, seen, descriptors } = parts;
  const snapshot = await fleetStats.read();
  const { user, system } = process.cpuUsage();
  const stuck = new Map([...seen.phases].map((phase) => [phase, 0]));
  const now = clock.monotonic();
  const paused = { operator: 0, worker: 0 };
  const capacities = new Map([...seen.capacities].map((name) => [name, { total: 0, used: 0 }]));
  let quarantined = 0;
  for (const session of dispatch.registry.all()) {
    if (session.operatorPause) paused.operator++;
    if (session.ownPauseReason !== undefined) paused.worker++;
    if (session.quarantine) quarantined++;
    addCapacity(capacities, SLOTS, { total: session.slots, used: session.usedSlots });
    for (const [name, capacity] of session.capacities) addCapacity(capacities, name, capacity);
    for (const attempt of session.attempts.values()) {
      const verdict = stuckAttempt(attempt, watch, now);
      if (verdict) addBounded(stuck, verdict.phase, 1);
    }
  }
  for (const phase of stuck.keys()) seen.phases.add(phase);
  for (const name of capacities.keys()) seen.capacities.add(name);
  return {
    database: snapshot && {
      tasks: await taskGauges(dispatch, snapshot),
      workers: workerGauges(snapshot, seen.pools),
      pools: await measurePools(dispatch.pools, seen.launching),
    },
    databaseUp: database.unavailable === undefined,
    streams: [...dispatch.registry.all()].filter(({ link }) => link !== undefined).length,
    stuck,
    paused,
    capacities,
    circuits: dispatch.circuits.totals,
    quarantined,
    pausedKeys: dispatch.rateLimits.pausedCount,
    fairnessKeys: dispatch.classes.windows.order.keyCount,
    loops: loops.map(({ name, intervalMs, lastRunTime }) => ({
      name,
      lastRunS: lastRunTime / 1_000,
      intervalS: intervalMs / 1_000,
    })),
    process: {
      cpuS: (user + system) / 1e6,
      rssBytes: process.memoryUsage.rss(),
      descriptors: descriptors.use,
      startedS: Math.round(clock.now() / 1_000 - process.uptime()),
    },
  };
}

/** Sums by queue and type; those that were measured before and have no open task are at 0. */
async function taskGauges(
  { counters }: Pick<Dispatch, "counters">,
  { classes, recent, unserved }: FleetSnapshot,
): Promise<Iterable<TaskGauges>> {
  const slices = new Slices();
  const gauges = new Map<unknown, Writable<TaskGauges>>();
  const of = (measures: { queue: string; type: string }): Writable<TaskGauges> => {
    const known = gauges.get(measures);
    if (known) return known;
    const { queue, type } = measures;
    const counts = { queued: 0, scheduled: 0, assigned: 0, running: 0 };
    const made = {
      ...{ queue, type, counts, oldestQueuedS: 0, oldestFirstAttemptS: 0, unserved: 0 },
      recentCompleted: 0,
    };
    gauges.set(measures, made);
    return made;
  };
  for (const { classId, ready, scheduled, active, running, oldestReadyAgeMs, ...more } of classes) {
    const gauge = of(counters.classes.of(classId));
    const now = { queued: ready, scheduled, assigned: active - running, running };
    for (const state of TASK_STATES) gauge.counts[state] += now[state];
    gauge.oldestQueuedS = Math.max(gauge.oldestQueuedS, (oldestReadyAgeMs ?? 0) / 1_000);
    gauge.oldestFirstAttemptS = Math.max(gauge.oldestFirstAttemptS, (more.oldestFirstAgeMs ?? 0) / 1_000);
    if (unserved.has(classId)) gauge.unserved += ready;
    if (slices.isOver) await slices.next();
  }
  for (const measures of counters.classes.all()) of(measures);
  for (const gauge of gauges.values()) gauge.recentCompleted = recent.ofType(gauge.queue, gauge.type);
  return gauges.values();
}

/** Every state of every pool that there ever was, so that one whose last worker went shows 0. */
function workerGauges({ workers }: FleetSnapshot, seen: Set<string>) {
  const pools = new Map<string, Map<string, number>>();
  const of = (pool: string) => {
    const name = pools.has(pool) || pools.size < MAX_VALUES ? pool : "other";
    const states = pools.get(name) ?? new Map(WORKER_STATES.map((state) => [state as string, 0]));
    pools.set(name, states);
    return states;
  };
  for (const pool of seen) of(pool);
  for (const { pool, state, count } of workers) {
    const states = of(pool);
    states.set(state, (states.get(state) ?? 0) + count);
  }
  for (const pool of pools.keys()) seen.add(pool);
  return [...pools].flatMap(([pool, states]) =>
    [...states].map(([state, count]) => ({ pool, state, count })),
  );
}

function addBounded(counts: Map<string, number>, value: string, count: number): void {
  const name = counts.has(value) || counts.size < MAX_VALUES ? value : "other";
  counts.set(name, (counts.get(name) ?? 0) + count);
}

function addCapacity(sums: Map<string, Writable<Capacity>>, value: string, { total, used }: Capacity): void {
  const name = sums.has(value) || sums.size < MAX_VALUES ? value : "other";
  const sum = sums.get(name) ?? { total: 0, used: 0 };
  sum.total += total;
  sum.used += used;
  sums.set(name, sum);
}

type Writable<T> = { -readonly [K in keyof T]: T[K] extends object ? Writable<T[K]> : T[K] };
