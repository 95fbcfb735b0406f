/** What operators change of pools. */
import { isDeepStrictEqual } from "node:util";
import { Refusal } from "../errors.ts";
import { FRESH_MEMORY } from "./decision.ts";
import { NEW_GUARD } from "./guard.ts";
import type { PoolRecord, PoolSpec } from "./pool.ts";

/** Most pools: the controller looks at all of them each second. */
export const MOST_POOLS = 1_000;

/** A changed pool, and the event that records it. */
export interface PoolChange {
  readonly pool: PoolRecord;
  readonly event: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * Makes a pool, or replaces its spec; undefined when it is the same. A changed template starts with a closed guard: failed
 * starts of the earlier one say nothing of it.
 *
 * @throws Refusal `POOL_BEING_DELETED`, `TOO_MANY_POOLS`
 */
export function applyPool(
  pool: PoolRecord | undefined,
  spec: PoolSpec,
  reason: string,
  nowMs: number,
  poolCount: number,
): PoolChange | undefined {
  const attributes = { pool: spec.name, reason };
  if (!pool) {
    if (poolCount >= MOST_POOLS)
      throw new Refusal(
        "exhausted",
        "TOO_MANY_POOLS",
        `there are ${poolCount} pools, and at most ${MOST_POOLS} are allowed; delete one with \`muster pool delete NAME\``,
      );
    const made: PoolRecord = {
      ...{ spec, version: 1, templateVersion: 1, createMs: nowMs, updateMs: nowMs },
      ...{ pause: undefined, deletion: undefined, memory: FRESH_MEMORY, launcher: undefined },
    };
    return { pool: made, event: "pool.created", attributes };
  }
  requireKept(pool);
  if (isDeepStrictEqual(pool.spec, spec)) return undefined;
  const version = pool.version + 1;
  const sameTemplate = isDeepStrictEqual(pool.spec.template, spec.template);
  const changed: PoolRecord = {
    ...pool,
    ...{ spec, version, updateMs: nowMs },
    ...(sameTemplate ? {} : { templateVersion: version, memory: { ...pool.memory, guard: NEW_GUARD } }),
  };
  return {
    pool: changed,
    event: "pool.changed",
    attributes: { ...attributes, version: String(version), template_changed: String(!sameTemplate) },
  };
}

/** Launches and stops nothing. @throws Refusal `POOL_BEING_DELETED` */
export function pausePool(pool: PoolRecord, reason: string, nowMs: number): PoolChange {
  requireKept(pool);
  const pause = { reason, atMs: pool.pause?.atMs ?? nowMs };
  return { pool: { ...pool, pause }, event: "pool.paused", attributes: { pool: pool.spec.name, reason } };
}

/** Ends a pause and a suspension of launches; undefined when it has neither. */
export function resumePool(pool: PoolRecord, reason: string): PoolChange | undefined {
  const suspended = pool.memory.guard.now.state !== "closed";
  if (!pool.pause && !suspended) return undefined;
  return {
    pool: { ...pool, pause: undefined, memory: { ...pool.memory, guard: NEW_GUARD } },
    event: "pool.resumed",
    attributes: { pool: pool.spec.name, reason, was_suspended: String(suspended) },
  };
}

/** Drains and ends its workers; it is removed after the last one. Undefined when that goes on already. */
export function deletePool(pool: PoolRecord, reason: string, nowMs: number): PoolChange | undefined {
  if (pool.deletion) return undefined;
  return {
    pool: { ...pool, deletion: { reason, atMs: nowMs } },
    event: "pool.deleted",
    attributes: { pool: pool.spec.name, reason },
  };
}

function requireKept({ spec, deletion }: PoolRecord): void {
  if (deletion)
    throw new Refusal(
      "precondition",
      "POOL_BEING_DELETED",
      `pool ${spec.name} is being deleted (${deletion.reason}): wait until \`muster pool list\` does not list it any more`,
    );
}
