/** Reads and writes the rows of circuits, with what follows from a transition, while the lock of their keys is held. */
import {
  addedCounts,
  type Circuit,
  type CircuitCounts,
  type CircuitState,
  circuitLimit,
  circuitLock,
  countsOf,
} from "../../../domain/tasks/limits/circuit.ts";
import type { CircuitChange, CircuitTransition } from "../../../domain/tasks/limits/circuit-machine.ts";
import { float8Array, int2Array, int4Array, textArray } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";

const STATE_NUMBERS: Readonly<Record<CircuitState, number>> = { closed: 0, open: 1, half_open: 2 };

/** The state of a row as it stands in SQL. */
export const OPEN = STATE_NUMBERS.open;
export const HALF_OPEN = STATE_NUMBERS.half_open;

/** The moment of a statement, in whole milliseconds since the epoch. */
export const NOW_MS = "floor(extract(epoch from clock_timestamp()) * 1000)::float8";

/** The successes in the shares of a circuit `c`, as the counts of its record. */
export const SHARES = `(select json_agg(json_build_array(u.start, u.n, 0)) from circuit_share s
      cross join lateral unnest(s.starts, s.succeeded) as u(start, n) where s.key = c.key)`;

/** A circuit as it is stored. */
export interface CircuitColumns {
  readonly record: Circuit;
  readonly shares: readonly CircuitCounts[] | null;
}

/** A circuit with what its shares have counted. */
export function toCircuit({ record, shares }: CircuitColumns): Circuit {
  return shares ? { ...record, counts: addedCounts(record.counts, shares) } : record;
}

// A statement of its own: its snapshot begins after the locks, so that it has what others committed before.
const READ: Statement = {
  name: "circuit-read",
  text: `select ${NOW_MS} as now,
      (select json_agg(json_build_object('record', c.record, 'shares', ${SHARES}))
         from circuit c where c.key = any($1::text[])) as circuits`,
};

const WRITE: Statement = {
  name: "circuit-write",
  text: `with emptied as (
    update circuit_share set starts = '{}', succeeded = '{}' where key = any($1::text[]) and starts <> '{}')
  insert into circuit (key, state, probe_time, record)
    select key, state, to_timestamp(probe_ms / 1000), record::jsonb
      from unnest($1::text[], $2::smallint[], $3::float8[], $4::text[]) as d(key, state, probe_ms, record)
     order by key
    on conflict (key) do update
       set state = excluded.state, probe_time = excluded.probe_time, record = excluded.record, use_time = now()`,
};

const FOLLOW: Statement = {
  name: "circuit-follow",
  text: `with d as materialized (
    select * from unnest($1::text[], $2::int[], $3::text[], $4::text[]) as d(lock, max_held, name, attributes)),
  shares as (
    delete from circuit_share s using d where s.key = substr(d.lock, 10) returning d.lock, s.held),
  k as (
    update concurrency_key k
       set held = greatest(0, k.held + (select coalesce(sum(shares.held), 0) from shares where shares.lock = k.key)),
           limit_override = d.max_held, limit_reason = case when d.max_held is not null then d.name end,
           limit_time = case when d.max_held is not null then now() end
      from d where k.key = d.lock),
  e as (
    insert into event (name, attributes) select name, attributes::jsonb from d order by lock)
  select pg_notify('muster', '{"kind":"queue"}')`,
};

/** The event of each transition, and its cause in the event. */
const EVENTS: Readonly<Record<CircuitTransition, { readonly name: string; readonly cause: string }>> = {
  open: { name: "circuit.opened", cause: "failures" },
  reopen: { name: "circuit.opened", cause: "probe_failed" },
  openByOperator: { name: "circuit.opened", cause: "operator" },
  halfOpen: { name: "circuit.half_opened", cause: "probe_due" },
  close: { name: "circuit.closed", cause: "probes_succeeded" },
  reset: { name: "circuit.closed", cause: "operator" },
};

/** The circuits that have rows, by key, and the moment by the database's clock. */
export async function readCircuits(
  run: Runner["run"],
  keys: readonly string[],
): Promise<{ now: number; circuits: ReadonlyMap<string, Circuit> }> {
  const [row] = await run<{ now: number; circuits: CircuitColumns[] | null }>(READ, [textArray(keys)]);
  const circuits = (row?.circuits ?? []).map((columns): [string, Circuit] => [
    columns.record.key,
    toCircuit(columns),
  ]);
  return { now: row?.now ?? 0, circuits: new Map(circuits) };
}

/** Writes circuits with what their shares had, and for those of a transition the limit of the key, the event and the hint. */
export async function writeCircuits(
  run: Runner["run"],
  circuits: readonly Circuit[],
  changes: readonly (CircuitChange & { readonly reason?: string })[],
): Promise<void> {
  await run(WRITE, [
    textArray(circuits.map(({ key }) => key)),
    int2Array(circuits.map(({ state }) => STATE_NUMBERS[state])),
    float8Array(circuits.map(({ probeAt }) => probeAt)),
    textArray(circuits.map((circuit) => JSON.stringify(circuit))),
  ]);
  if (changes.length === 0) return;
  await run(FOLLOW, [
    textArray(changes.map(({ circuit }) => circuitLock(circuit.key).key)),
    int4Array(changes.map(({ circuit }) => circuitLimit(circuit))),
    textArray(changes.map(({ transition }) => EVENTS[transition].name)),
    textArray(changes.map((change) => JSON.stringify(attributesOf(change)))),
  ]);
}

/** The attributes of the event, as texts. */
function attributesOf({
  circuit,
  transition,
  reason,
}: CircuitChange & { readonly reason?: string }): Record<string, string> {
  const { succeeded, failed } = countsOf(circuit, circuit.since);
  const [last] = circuit.failures;
  const isOpen = circuit.state === "open";
  return {
    key: circuit.key,
    cause: EVENTS[transition].cause,
    ...(reason === undefined ? {} : { reason }),
    ...(isOpen ? { succeeded: String(succeeded), failed: String(failed) } : {}),
    ...(isOpen && last ? { attempt_id: `t-${last.taskId}.${last.epoch}`, code: last.code } : {}),
    ...(circuit.probeAt === undefined ? {} : { probe_time: new Date(circuit.probeAt).toISOString() }),
  };
}
