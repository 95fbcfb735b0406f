/** The handlers of PoolService. */
import type { PoolService } from "@muster/protocol";
import type { PoolController } from "../../dispatch/pools/pool-controller.ts";
import { FRESH_MEMORY } from "../../domain/pools/decision/pool-decision.ts";
import type { PoolRecord, PoolSpec } from "../../domain/pools/pool.ts";
import {
  applyPool,
  deletePool,
  type KeptTemplate,
  type PoolChange,
  pausePool,
  resumePool,
  rollBackPool,
} from "../../domain/pools/pool-changes.ts";
import { NO_ROLLOUT } from "../../domain/pools/rollout-record.ts";
import { invalidRequest, poolNotFound } from "../../domain/refusals.ts";
import type { Explainer } from "../../queries/explainer.ts";
import type { KnownPool, PoolStore } from "../../store/store.ts";
import { fromExplanation } from "../convert/fleet/explanation.ts";
import { fromPlan, fromPool, fromPoolLaunch } from "../convert/pools/pool.ts";
import { checkBounds, toPoolSpec } from "../convert/pools/pool-spec.ts";
import { fitPage } from "../convert/values/message-size.ts";
import { storable } from "../convert/values/text.ts";
import type { Handlers } from "../server/handlers.ts";
import { nameToken, pageSize, pageToken, parseNameToken, parsePageToken } from "./pages.ts";

/** What is decided of a pool without workers that is being deleted. */
const NOTHING = {
  desired: { count: 0, forWork: 0, counted: 0, minimum: 0, bound: "work" },
  demand: { waiting: 0, held: 0, ready: 0, completionsPerSecond: 0, usualStartMs: undefined },
} as const;

/** Parts that PoolService uses. */
export interface PoolServiceParts {
  readonly store: Pick<PoolStore, "changePool" | "listPoolLaunches" | "poolTemplates">;
  readonly pools: Pick<PoolController, "plan">;
  readonly explainer: Pick<Explainer, "pool">;
  /** A pool was changed: the controller looks. */
  readonly poolsChanged: () => void;
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
}

/** Handlers of PoolService. */
export function poolService(parts: PoolServiceParts): Handlers<typeof PoolService> {
  const { store, pools, explainer, poolsChanged, pageBytes } = parts;

  /** @throws Refusal `POOL_NOT_FOUND` */
  const planOf = async (name: string) => {
    const { pools: planned, nowMs } = await pools.plan();
    const found = planned.get(name);
    if (!found) throw poolNotFound(name);
    return { ...found, nowMs };
  };

  const read = async (name: string) => {
    const { known, decision, nowMs } = await planOf(name);
    return { pool: fromPool(known, decision, nowMs) };
  };

  type Decide = (pool: PoolRecord, nowMs: number, kept: readonly KeptTemplate[]) => PoolChange | undefined;

  /** Changes a pool that must be there; true when that changed it. */
  const write = async (name: string, decide: Decide) => {
    const { changed } = await store.changePool(storable(name, 256), (pool, nowMs, _, kept) => {
      if (!pool) throw poolNotFound(name);
      return decide(pool, nowMs, kept);
    });
    poolsChanged();
    return changed;
  };

  /** The same, and answers the pool. */
  const change = async (name: string, decide: Decide) => {
    await write(name, decide);
    return read(name);
  };

  return {
    async listPools(request) {
      const limit = pageSize(request.pageSize, 50);
      const after = parseNameToken(request.pageToken) ?? "";
      const { pools: planned, nowMs } = await pools.plan();
      const found = [...planned].filter(([name]) => name > after);
      const shown = ([, { known, decision }]: (typeof found)[number]) => fromPool(known, decision, nowMs);
      const page = fitPage(found, limit, shown, pageBytes);
      return { pools: page.items, nextPageToken: page.last && page.more ? nameToken(page.last[0]) : "" };
    },

    getPool: ({ name }) => read(name),

    async listPoolLaunches(request) {
      const limit = pageSize(request.pageSize, 50);
      const pool = request.pool === "" ? undefined : storable(request.pool, 256);
      const found = await store.listPoolLaunches({
        ...{ pool, open: request.open, beforeRow: parsePageToken(request.pageToken), limit: limit + 1 },
      });
      const page = fitPage(
        found,
        limit,
        ({ launch }) => fromPoolLaunch(launch, pool !== undefined),
        pageBytes,
      );
      return {
        launches: page.items,
        nextPageToken: page.last && page.more ? pageToken(page.last.row) : "",
      };
    },

    async explainPool({ name }) {
      const explanation = await explainer.pool(storable(name, 256));
      if (!explanation) throw poolNotFound(name);
      return { explanation: fromExplanation(explanation) };
    },

    async planPool({ name, spec }) {
      if (!spec) {
        const { known, decision } = await planOf(name);
        return { plan: fromPlan(known, decision) };
      }
      const wanted = toPoolSpec(spec);
      const kept = await store.poolTemplates(wanted.name);
      const { pools: planned } = await pools.plan((known, nowMs) => asIfApplied(known, wanted, nowMs, kept));
      const found = planned.get(wanted.name);
      if (!found) throw poolNotFound(wanted.name);
      return { plan: fromPlan(found.known, found.decision) };
    },

    async applyPool({ spec, reason }) {
      const wanted = toPoolSpec(spec);
      const { changed } = await store.changePool(wanted.name, (pool, nowMs, count, kept) =>
        applyPool(pool, wanted, reasonOf(reason), nowMs, count, kept),
      );
      if (changed) poolsChanged();
      return { ...(await read(wanted.name)), changed };
    },

    scalePool({ name, minWorkers, maxWorkers, reason }) {
      return change(name, (pool, nowMs) => {
        const { spec } = pool;
        const scaled = {
          minWorkers: minWorkers ?? spec.minWorkers,
          maxWorkers: maxWorkers ?? spec.maxWorkers,
        };
        checkBounds(scaled.minWorkers, scaled.maxWorkers, (field, description) => {
          throw invalidRequest({ field, description });
        });
        const high = spec.scheduledMinimums.find((each) => each.minWorkers > scaled.maxWorkers);
        if (high)
          throw invalidRequest({
            field: "max_workers",
            description: `${scaled.maxWorkers} is below the scheduled minimum ${high.minWorkers} at ${high.cron}`,
          });
        return applyPool(pool, { ...spec, ...scaled }, reasonOf(reason), nowMs, 0);
      });
    },

    async rollBackPool({ name, templateVersion, reason }) {
      if (templateVersion < 0n || templateVersion > Number.MAX_SAFE_INTEGER)
        throw invalidRequest({
          field: "template_version",
          description: `${templateVersion} is not between 1 and ${Number.MAX_SAFE_INTEGER}, or 0 for the earlier one`,
        });
      const version = templateVersion === 0n ? undefined : Number(templateVersion);
      const changed = await write(name, (pool, nowMs, kept) =>
        rollBackPool(pool, version, kept, reasonOf(reason), nowMs),
      );
      return { ...(await read(name)), changed };
    },

    pausePool: ({ name, reason }) => change(name, (pool, nowMs) => pausePool(pool, reasonOf(reason), nowMs)),

    resumePool: ({ name, reason }) => change(name, (pool) => resumePool(pool, reasonOf(reason))),

    async deletePool({ name, reason }) {
      const { pool: deleted } = await store.changePool(storable(name, 256), (pool, nowMs) => {
        if (!pool) throw poolNotFound(name);
        return deletePool(pool, reasonOf(reason), nowMs);
      });
      poolsChanged();
      const { pools: planned, nowMs } = await pools.plan();
      const found = planned.get(name);
      if (found) return { pool: fromPool(found.known, found.decision, nowMs) };
      // Without workers it may have been removed already.
      if (!deleted) throw poolNotFound(name);
      return { pool: fromPool({ pool: deleted, open: [], usualStartMs: undefined }, NOTHING, nowMs) };
    },
  };
}

/** The pools with the spec applied; a pool that is not there yet has no launches. */
function asIfApplied(
  pools: readonly KnownPool[],
  spec: PoolSpec,
  nowMs: number,
  kept: readonly KeptTemplate[],
): readonly KnownPool[] {
  const known = pools.find(({ pool }) => pool.spec.name === spec.name);
  if (!known) {
    const pool: PoolRecord = {
      ...{ spec, version: 0, templateVersion: 0, createMs: nowMs, updateMs: nowMs },
      ...{ pause: undefined, deletion: undefined, memory: FRESH_MEMORY, launcher: undefined },
      rollout: NO_ROLLOUT,
    };
    return [...pools, { pool, open: [], usualStartMs: undefined }];
  }
  const changed = applyPool(known.pool, spec, "", nowMs, 0, kept);
  return pools.map((each) => (each === known && changed ? { ...known, pool: changed.pool } : each));
}

function reasonOf(reason: string): string {
  return storable(reason, 1_024) || "asked by an operator";
}
