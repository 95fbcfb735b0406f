/** Compares what was assigned with the rate limit and the circuit. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import { CIRCUIT, RATE } from "../limits.ts";

/** A claim that waits for a lock is recorded with the time before it. */
const CLAIM_MS = 2_000;

/** Compares the assignments of the tasks with a rate limit, by the clock of the database, with burst and rate. */
export async function rateExceeded(db: Pick<TestDatabase, "query">, violations: string[]): Promise<number> {
  const rows = await db.query<{ attempt: string; ms: string }>(
    `select 't-' || a.id || '.' || coalesce(e.epochs[a.ord], e.epoch) as attempt, extract(epoch from e.time) * 1000 as ms
       from event e cross join lateral unnest(e.task_ids) with ordinality as a(id, ord)
      where e.name = 'assigned' and a.id in (
        select t.id from task_finished t join class_rate c using (class_id) where c.key = '${RATE.key}')
      order by e.time`,
  );
  const interval = (RATE.periodS * 1_000) / RATE.limit;
  let fullAt = Number.NEGATIVE_INFINITY;
  let count = 0;
  for (const { attempt, ms } of rows) {
    const at = Number(ms);
    fullAt = Math.max(fullAt, at) + interval;
    if (fullAt - at <= RATE.burst * interval + CLAIM_MS) continue;
    count++;
    violations.push(
      `${attempt} was assigned ${Math.round(fullAt - at)} ms sooner than the rate of ${RATE.key} allows`,
    );
  }
  return count;
}

interface CircuitStep extends Record<string, unknown> {
  name: string;
  tasks: string[] | null;
}

/**
 * Replays the events of the circuit and of its tasks. Whoever writes one of them holds the lock of the circuit's key, so
 * that the order of their ids is that of their commits. While it is open no attempt is assigned, and while it is half-open
 * at most as many are active as may probe it.
 */
export async function replayCircuit(
  db: Pick<TestDatabase, "query">,
  violations: string[],
): Promise<{ opened: number; broken: number }> {
  const steps = await db.query<CircuitStep>(
    `with mine as (
       select distinct f.id from task_finished f join class_key ck using (class_id)
        where ck.key = e'\\x01circuit:' || $1)
     select e.id, e.name, case when e.name like 'circuit.%' then null else (
         select array_agg('t-' || m.id) from mine m where m.id = any(coalesce(e.task_ids, array[e.task_id]))) end as tasks
       from event e
      where e.name like 'circuit.%' and e.attributes ->> 'key' = $1
         or (e.name in ('assigned', 'retaken', 'succeeded', 'failed', 'cancelled') or e.name like 'requeued:%')
        and coalesce(e.task_ids, array[e.task_id]) && array(select id from mine)
      order by e.id`,
    [CIRCUIT.key],
  );
  const active = new Set<string>();
  let state = "circuit.closed";
  let opened = 0;
  let broken = 0;
  for (const { name, tasks } of steps) {
    if (tasks === null) {
      state = name;
      if (name === "circuit.opened") opened++;
      continue;
    }
    for (const task of tasks) {
      if (name !== "assigned") active.delete(task);
      else active.add(task);
    }
    if (name !== "assigned") continue;
    const limit = { "circuit.opened": 0, "circuit.half_opened": CIRCUIT.probes }[state];
    if (limit === undefined || (limit > 0 && active.size <= limit)) continue;
    broken++;
    violations.push(
      `${tasks.join(", ")} was assigned after ${state}, with ${active.size} active of the circuit`,
    );
  }
  return { opened, broken };
}
