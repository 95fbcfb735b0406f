/** Explains pools, and what they mean for a waiting task. */
import type { PlannedPool, PoolController } from "../../dispatch/pools/pool-controller.ts";
import { EXPLAINED_LAUNCHES, type ExplainedPool, explainPool } from "../../domain/explain/pools.ts";
import type { Explanation } from "../../domain/explain/reason.ts";
import { rolloutProgress } from "../../domain/pools/rollout-progress.ts";
import type { PoolStore } from "../../store/store.ts";

/** Parts that the explainer of pools uses. */
export interface PoolExplainerParts {
  readonly store: Pick<PoolStore, "listPoolLaunches">;
  readonly pools: Pick<PoolController, "plan">;
}

export class PoolExplainer {
  readonly #parts: PoolExplainerParts;

  constructor(parts: PoolExplainerParts) {
    this.#parts = parts;
  }

  /** Undefined when there is no such pool. @throws DatabaseUnavailableError */
  async explain(name: string): Promise<Explanation | undefined> {
    const { store } = this.#parts;
    const { pools, nowMs } = await this.#parts.pools.plan();
    const planned = pools.get(name);
    if (!planned) return undefined;
    const filter = { pool: name, open: false, beforeRow: undefined, limit: EXPLAINED_LAUNCHES };
    const last = (await store.listPoolLaunches(filter)).map(({ launch }) => launch);
    return explainPool({ ...explained(planned), last, nowMs });
  }

  /** The explanations of all pools, without their earlier launches. @throws DatabaseUnavailableError */
  async explainAll(): Promise<Explanation[]> {
    const { pools, nowMs } = await this.all();
    return pools.map((pool) => explainPool({ ...pool, last: [], nowMs }));
  }

  /** All pools with what would be decided of each. @throws DatabaseUnavailableError */
  async all(): Promise<{ readonly pools: readonly ExplainedPool[]; readonly nowMs: number }> {
    const { pools, nowMs } = await this.#parts.pools.plan();
    return { pools: [...pools.values()].map(explained), nowMs };
  }
}

function explained({ known, decision }: PlannedPool): ExplainedPool {
  const { pool, open, usualStartMs } = known;
  const { now } = pool.rollout;
  return {
    ...{ pool, decision, open: open.map(({ launch }) => launch), usualStartMs },
    ...(now ? { progress: rolloutProgress(pool, now, open) } : {}),
  };
}
