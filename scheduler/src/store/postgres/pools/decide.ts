/** Carries out the decisions of a pool's controller, with the lock of the pool's row. */

import { decisionEvents, type PoolEvent } from "../../../domain/pools/decision/decision-events.ts";
import type { LaunchChange, PoolDecision, PoolFacts } from "../../../domain/pools/decision/pool-decision.ts";
import type { PoolRecord } from "../../../domain/pools/pool.ts";
import type { KeptTemplate, PoolChange } from "../../../domain/pools/pool-changes.ts";
import { boolArray, float8Array, textArray } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { databaseNowMs, POOL_COLUMNS, type PoolColumns, readPools, toPool } from "./pool-rows.ts";
import { keepTemplates, poolTemplates, rollBack } from "./templates.ts";

// One scheduler decides for a pool at a time; the other has nothing to add.
const TRY_LOCK: Statement = {
  name: "pool-try-lock",
  text: "select name from pool where name = $1 for update skip locked",
};

const LOCK: Statement = {
  name: "pool-lock",
  text: `select ${POOL_COLUMNS} from pool p where p.name = $1 for update`,
};

const COUNT: Statement = { name: "pool-count", text: "select count(*)::int as count from pool" };

const WRITE: Statement = {
  name: "pool-write",
  text: `insert into pool (name, spec, version, template_version, create_time, update_time, pause, deletion, memory, rollout)
    values ($1, $2::jsonb, $3, $4, to_timestamp($5::float8 / 1000), to_timestamp($6::float8 / 1000), $7::jsonb, $8::jsonb, $9::jsonb, $10::jsonb)
    on conflict (name) do update
       set spec = excluded.spec, version = excluded.version, template_version = excluded.template_version,
           update_time = excluded.update_time, pause = excluded.pause, deletion = excluded.deletion, memory = excluded.memory,
           rollout = excluded.rollout`,
};

const REMEMBER: Statement = {
  name: "pool-remember",
  text: "update pool set memory = $2::jsonb, rollout = $3::jsonb where name = $1",
};

const REMOVE: Statement = { name: "pool-remove", text: "delete from pool where name = $1" };

const ORDER: Statement = {
  name: "pool-order",
  text: `insert into pool_launch (launch_id, pool, template_version, reason, probe)
    select d.launch_id, $1, $2, d.reason, d.probe from unnest($3::text[], $4::text[], $5::boolean[]) as d(launch_id, reason, probe)`,
};

const CHANGE: Statement = {
  name: "pool-launch-change",
  text: `update pool_launch q
      set ready_time = coalesce(to_timestamp(d.ready_ms / 1000), q.ready_time), stop = coalesce(d.stop::jsonb, q.stop),
          end_time = to_timestamp(d.end_ms / 1000), ending = d.ending::jsonb
     from unnest($1::text[], $2::float8[], $3::text[], $4::float8[], $5::text[]) as d(launch_id, ready_ms, stop, end_ms, ending)
    where q.launch_id = d.launch_id and q.end_time is null`,
};

const EVENTS: Statement = {
  name: "pool-events",
  text: `insert into event (name, worker_id, attributes)
    select name, nullif(worker_id, ''), attributes::jsonb
      from unnest($1::text[], $2::text[], $3::text[]) with ordinality as d(name, worker_id, attributes, n) order by n`,
};

const HINT: Statement = { name: "pool-hint", text: `select pg_notify('muster', '{"kind":"pools"}')` };

export function decidePool(
  db: Database,
  name: string,
  decide: (facts: Omit<PoolFacts, "waiting" | "nextTime" | "newId">) => PoolDecision,
): Promise<PoolDecision | undefined> {
  return db.transaction(async (tx) => {
    if ((await tx.run(TRY_LOCK, [name])).length === 0) return undefined;
    const [known] = await readPools(tx, { name, limit: 1 });
    if (!known) return undefined;
    const nowMs = await databaseNowMs(tx);
    const decision = decide({ ...known, nowMs });
    const { pool } = known;
    await write(tx, pool, decision, nowMs);
    await recordEvents(tx, decisionEvents(pool, decision, nowMs));
    // Launchers look at once, whichever scheduler they are connected to.
    if (decision.launches.length > 0 || decision.changes.some(({ kind }) => kind !== "ready"))
      await tx.run(HINT, []);
    return decision;
  });
}

/** Changes a pool for an operator; the same change twice has the effect of one. */
export function changePool(
  db: Database,
  name: string,
  change: (
    pool: PoolRecord | undefined,
    nowMs: number,
    poolCount: number,
    kept: readonly KeptTemplate[],
  ) => PoolChange | undefined,
): Promise<{ pool: PoolRecord | undefined; changed: boolean }> {
  return db.retrying(() =>
    db.transaction(async (tx) => {
      const [row] = await tx.run<PoolColumns>(LOCK, [name]);
      const before = row && toPool(row);
      const [{ count } = { count: 0 }] = before ? [] : await tx.run<{ count: number }>(COUNT, []);
      const kept = before ? await poolTemplates(tx, name) : [];
      const changed = change(before, await databaseNowMs(tx), count, kept);
      if (!changed) return { pool: before, changed: false };
      const { pool, event, attributes } = changed;
      await tx.run(WRITE, [
        name,
        JSON.stringify(pool.spec),
        pool.version,
        pool.templateVersion,
        pool.createMs,
        pool.updateMs,
        json(pool.pause),
        json(pool.deletion),
        JSON.stringify(pool.memory),
        JSON.stringify(pool.rollout),
      ]);
      await keepTemplates(tx, before, pool);
      await recordEvents(tx, [{ name: event, workerId: "", attributes }]);
      await tx.run(HINT, []);
      return { pool, changed: true };
    }),
  );
}

async function write(tx: Runner, pool: PoolRecord, decision: PoolDecision, nowMs: number): Promise<void> {
  const { name } = pool.spec;
  const { changes, launches, guard, wanted, rollout } = decision;
  if (launches.length > 0) {
    await tx.run(ORDER, [
      name,
      decision.template.version,
      textArray(launches.map(({ launchId }) => launchId)),
      textArray(launches.map(({ reason }) => reason)),
      boolArray(launches.map(({ probe }) => probe)),
    ]);
  }
  const written = changes.filter(({ kind }) => kind !== "drain");
  if (written.length > 0) {
    await tx.run(CHANGE, [
      textArray(written.map(({ launch }) => launch.launchId)),
      float8Array(written.map(({ kind }) => (kind === "ready" ? nowMs : undefined))),
      textArray(written.map((change) => json(stopOf(change, nowMs)))),
      float8Array(written.map(({ kind }) => (kind === "ended" ? nowMs : undefined))),
      textArray(written.map((change) => json(endingOf(change)))),
    ]);
  }
  if (decision.remove) await tx.run(REMOVE, [name]);
  else if (guard !== pool.memory.guard || wanted !== pool.memory.wanted || rollout !== pool.rollout)
    await tx.run(REMEMBER, [name, JSON.stringify({ guard, wanted }), JSON.stringify(rollout)]);
  if (decision.rollBack) await rollBack(tx, name, decision.rollBack);
}

function stopOf(change: LaunchChange, nowMs: number): unknown {
  if (change.kind === "stop") return change.stop;
  return change.kind === "end_process" ? { ...change.launch.stop, endMs: nowMs } : undefined;
}

function endingOf(change: LaunchChange): unknown {
  if (change.kind !== "ended") return undefined;
  const { outcome, diagnosis } = change;
  return { outcome, ...(diagnosis ? { diagnosis } : {}) };
}

async function recordEvents(tx: Runner, events: readonly PoolEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.run(EVENTS, [
    textArray(events.map(({ name }) => name)),
    textArray(events.map(({ workerId }) => workerId)),
    textArray(events.map(({ attributes }) => JSON.stringify(attributes))),
  ]);
}

function json(value: unknown): string | null {
  return value === undefined ? null : JSON.stringify(value);
}
