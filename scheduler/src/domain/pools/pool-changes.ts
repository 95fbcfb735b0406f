/** What operators change of pools. */
import { isDeepStrictEqual } from "node:util";
import { Refusal } from "../errors.ts";
import { FRESH_MEMORY } from "./decision/pool-decision.ts";
import { NEW_GUARD } from "./guard.ts";
import type { LaunchTemplate, PoolRecord, PoolSpec } from "./pool.ts";
import { currentTemplate, resumedRollout, rolloutTo, templateOf } from "./rollout.ts";
import { NO_ROLLOUT } from "./rollout-record.ts";

/** Most pools: the controller looks at all of them each second. */
export const MOST_POOLS = 1_000;

/** A template that a pool has or had. */
export interface KeptTemplate {
  readonly version: number;
  readonly template: LaunchTemplate;
}

/** A changed pool, and the event that records it. */
export interface PoolChange {
  readonly pool: PoolRecord;
  readonly event: string;
  readonly attributes: Readonly<Record<string, string>>;
}

/**
 * Makes a pool, or replaces its spec; undefined when it is the same. A changed template starts with a closed guard: failed
 * starts of the earlier one say nothing of it. The template that was stable before a rollout keeps its version, and its workers.
 *
 * @param kept Templates that the pool had.
 * @throws Refusal `POOL_BEING_DELETED`, `TOO_MANY_POOLS`
 */
export function applyPool(
  pool: PoolRecord | undefined,
  spec: PoolSpec,
  reason: string,
  nowMs: number,
  poolCount: number,
  kept: readonly KeptTemplate[] = [],
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
      rollout: NO_ROLLOUT,
    };
    return { pool: made, event: "pool.created", attributes };
  }
  requireKept(pool);
  if (isDeepStrictEqual(pool.spec, spec)) return undefined;
  const version = pool.version + 1;
  const changed: PoolRecord = { ...pool, spec, version, updateMs: nowMs };
  if (isDeepStrictEqual(pool.spec.template, spec.template))
    return {
      pool: changed,
      event: "pool.changed",
      attributes: { ...attributes, version: String(version), template_changed: "false" },
    };
  const { stable } = pool.rollout;
  const before = kept.find(
    (each) => each.version === stable?.version && isDeepStrictEqual(each.template, spec.template),
  );
  const to = templateOf(spec.template, before?.version ?? version);
  return {
    pool: withTemplate(pool, changed, to.version, before !== undefined, reason, nowMs),
    event: before ? "pool.rolled_back" : "pool.changed",
    attributes: {
      ...attributes,
      ...{ version: String(version), template_changed: "true", template_version: String(to.version) },
    },
  };
}

/**
 * Takes an earlier template again: the one that was stable before the rollout that goes on, else the one before the present one.
 *
 * @param wanted Its version; undefined for that one.
 * @param kept Templates that the pool had.
 * @returns Undefined when the pool has it.
 * @throws Refusal `POOL_BEING_DELETED`, `NO_EARLIER_TEMPLATE`
 */
export function rollBackPool(
  pool: PoolRecord,
  wanted: number | undefined,
  kept: readonly KeptTemplate[],
  reason: string,
  nowMs: number,
): PoolChange | undefined {
  requireKept(pool);
  const { stable, now } = pool.rollout;
  const earlier = kept.filter(({ version }) => version < pool.templateVersion).map(({ version }) => version);
  const target = wanted ?? (now ? stable?.version : Math.max(0, ...earlier));
  if (target === pool.templateVersion) return undefined;
  const found = kept.find(({ version }) => version === target);
  if (!found) throw noEarlierTemplate(pool, wanted, kept);
  const version = pool.version + 1;
  const spec = { ...pool.spec, template: found.template };
  return {
    pool: withTemplate(pool, { ...pool, spec, version, updateMs: nowMs }, found.version, true, reason, nowMs),
    event: "pool.rolled_back",
    attributes: {
      ...{ pool: pool.spec.name, reason, version: String(version), template_version: String(found.version) },
    },
  };
}

/** The changed pool with a rollout of its template, which starts with a closed guard. */
function withTemplate(
  before: PoolRecord,
  changed: PoolRecord,
  templateVersion: number,
  back: boolean,
  reason: string,
  nowMs: number,
): PoolRecord {
  const pool = { ...changed, templateVersion, memory: { ...before.memory, guard: NEW_GUARD } };
  const { rollout } = before;
  const from = back ? currentTemplate(before) : (rollout.stable ?? currentTemplate(before));
  const to = currentTemplate(pool);
  return { ...pool, rollout: rolloutTo(rollout, { from, to, back, reason, nowMs }) };
}

function noEarlierTemplate(
  { spec, templateVersion }: PoolRecord,
  wanted: number | undefined,
  kept: readonly KeptTemplate[],
): Refusal {
  const versions = kept.map(({ version }) => version).filter((version) => version !== templateVersion);
  const what =
    wanted === undefined
      ? `pool ${spec.name} has no earlier template to go back to`
      : `pool ${spec.name} keeps no template version ${wanted}`;
  const others = versions.length > 0 ? `kept are the versions ${versions.join(", ")}` : "no other is kept";
  return new Refusal(
    "precondition",
    "NO_EARLIER_TEMPLATE",
    `${what}: ${others}, and it has version ${templateVersion}; apply the spec that you want with \`muster pool apply FILE\``,
  );
}

/** Launches and stops nothing. @throws Refusal `POOL_BEING_DELETED` */
export function pausePool(pool: PoolRecord, reason: string, nowMs: number): PoolChange {
  requireKept(pool);
  const pause = { reason, atMs: pool.pause?.atMs ?? nowMs };
  return { pool: { ...pool, pause }, event: "pool.paused", attributes: { pool: pool.spec.name, reason } };
}

/** Ends a pause, a suspension of launches, and the pause of a rollout; undefined when it has none of them. */
export function resumePool(pool: PoolRecord, reason: string): PoolChange | undefined {
  const suspended = pool.memory.guard.now.state !== "closed";
  const rollout = resumedRollout(pool.rollout);
  const wasRolling = rollout !== pool.rollout;
  if (!pool.pause && !suspended && !wasRolling) return undefined;
  return {
    pool: { ...pool, pause: undefined, rollout, memory: { ...pool.memory, guard: NEW_GUARD } },
    event: "pool.resumed",
    attributes: {
      ...{ pool: pool.spec.name, reason, was_suspended: String(suspended) },
      ...(wasRolling ? { rollout: "resumed" } : {}),
    },
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
