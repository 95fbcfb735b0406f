/** The gauges of pools, read at a scrape while there are pools. */
import type { PlannedPool, PoolController } from "../dispatch/pools/pool-controller.ts";
import { isAbsence } from "../domain/errors.ts";
import { launchState } from "../domain/pools/pool-launch.ts";
import { GUARD_STATES, POOL_WORKER_STATES, type PoolGauges } from "../telemetry/metrics/gauge-values.ts";

/** Most pools with a label of their own, by name; the rest share `other`. */
const MAX_POOLS = 100;

/**
 * What every pool wants and has. Without pools it sends no statement.
 *
 * @param seen Pools that a gauge has had: one that was removed shows 0. Those that are found are added.
 */
export async function measurePools(
  pools: Pick<PoolController, "any" | "plan">,
  seen: Set<string>,
): Promise<readonly PoolGauges[]> {
  if (!pools.any && seen.size === 0) return [];
  const planned = pools.any ? await plansOf(pools) : [];
  const gauges = new Map<string, PoolGauges>();
  for (const name of seen) gauges.set(name, none(name));
  for (const [name, plan] of planned) {
    const label = gauges.has(name) || gauges.size < MAX_POOLS ? name : "other";
    gauges.set(label, sumOf(gauges.get(label) ?? none(label), plan));
  }
  for (const name of gauges.keys()) seen.add(name);
  return [...gauges.values()];
}

async function plansOf(pools: Pick<PoolController, "plan">): Promise<readonly [string, PlannedPool][]> {
  try {
    return [...(await pools.plan()).pools];
  } catch (error) {
    // The other gauges say that the database does not answer.
    if (isAbsence(error)) return [];
    throw error;
  }
}

function none(pool: string): PoolGauges {
  return {
    ...{ pool, wanted: 0, max: 0, waiting: 0 },
    workers: Object.fromEntries(POOL_WORKER_STATES.map((state) => [state, 0])) as PoolGauges["workers"],
    guard: Object.fromEntries(GUARD_STATES.map((state) => [state, 0])) as PoolGauges["guard"],
  };
}

function sumOf(before: PoolGauges, { known: { pool, open }, decision }: PlannedPool): PoolGauges {
  const count = (...states: readonly string[]) =>
    open.filter(({ launch }) => states.includes(launchState(launch))).length;
  const { workers, guard } = before;
  const now = pool.memory.guard.now.state;
  return {
    pool: before.pool,
    wanted: before.wanted + decision.desired.count,
    max: before.max + pool.spec.maxWorkers,
    waiting: before.waiting + decision.demand.waiting,
    workers: {
      starting: workers.starting + count("ordered", "starting"),
      ready: workers.ready + count("ready"),
      draining: workers.draining + count("stopping"),
    },
    guard: { ...guard, [now]: guard[now] + 1 },
  };
}
