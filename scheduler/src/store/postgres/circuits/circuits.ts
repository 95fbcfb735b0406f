/** Reads circuits, and changes them by time and by operators. */
import { type Circuit, circuitLock } from "../../../domain/tasks/limits/circuit.ts";
import {
  type CircuitChange,
  halfOpen,
  newCircuit,
  openByOperator,
  reset,
} from "../../../domain/tasks/limits/circuit-machine.ts";
import type { CircuitRow, CircuitStore, CircuitTotals } from "../../store.ts";
import { HELD } from "../concurrency/held-keys.ts";
import type { Database, Statement } from "../connection/database.ts";
import {
  type CircuitColumns,
  HALF_OPEN,
  NOW_MS,
  OPEN,
  readCircuits,
  SHARES,
  toCircuit,
  writeCircuits,
} from "./circuit-rows.ts";

// greatest() ignores nulls: without a circuit to probe, 0 would mean that one is due.
const TOTALS: Statement = {
  name: "circuit-totals",
  text: `select count(*) filter (where state = ${OPEN})::int as open,
      count(*) filter (where state = ${HALF_OPEN})::int as half_open,
      case when min(probe_time) is not null
        then (greatest(0, extract(epoch from min(probe_time) - clock_timestamp())) * 1000)::float8 end as due_in_ms
    from circuit where state > 0`,
};

const LIST: Statement = {
  name: "circuit-list",
  text: `select c.record, ${SHARES} as shares, coalesce(${HELD}, 0) as active, ${NOW_MS} as read_at
    from circuit c left join concurrency_key k on k.key = $5 || c.key
   where ($1::text is null or c.key = $1) and ($2::text is null or c.key > $2) and (not $3 or c.state > 0)
   order by c.key limit $4`,
};

const DUE: Statement = {
  name: "circuit-due",
  text: `select key from circuit where state = ${OPEN} and probe_time <= clock_timestamp() order by probe_time limit $1`,
};

const IDLE: Statement = {
  name: "circuit-idle",
  text: `select key from circuit
   where state = ${HALF_OPEN} and use_time < now() - $1::int * interval '1 day' order by key limit $2`,
};

// An update that changes nothing locks the row that is there: a key that no class has may be deleted at any time.
const LOCK: Statement = {
  name: "circuit-lock",
  text: `with circuits as materialized (select lock_circuits(array[$1::text]))
  insert into concurrency_key as k (key) select $1::text from circuits
    on conflict (key) do update set held = k.held returning key`,
};

/** Half-open circuits that are closed in a run of the retention. */
const MAX_IDLE = 1_000;

export async function circuitTotals(db: Database): Promise<CircuitTotals> {
  const [row] = await db.cold<{ open: number; half_open: number; due_in_ms: number | null }>(TOTALS, []);
  return { open: row?.open ?? 0, halfOpen: row?.half_open ?? 0, dueInMs: row?.due_in_ms ?? undefined };
}

export async function listCircuits(
  db: Database,
  { key, afterKey, notClosed, limit }: Parameters<CircuitStore["listCircuits"]>[0],
): Promise<CircuitRow[]> {
  const rows = await db.cold<CircuitColumns & { active: number; read_at: number }>(LIST, [
    ...[key ?? null, afterKey ?? null, notClosed, limit],
    circuitLock("").key,
  ]);
  return rows.map((row) => ({ circuit: toCircuit(row), active: row.active, readAt: row.read_at }));
}

export async function halfOpenDue(db: Database, limit: number): Promise<CircuitChange[]> {
  const changes: CircuitChange[] = [];
  for (const { key } of await db.cold<{ key: string }>(DUE, [limit])) {
    const change = await changeCircuit(db, key, halfOpen);
    if (change) changes.push(change);
  }
  return changes;
}

export async function openCircuit(
  db: Database,
  key: string,
  { reason, forMs }: Parameters<CircuitStore["openCircuit"]>[1],
): Promise<CircuitChange> {
  return changeCircuit(db, key, (circuit, now) => openByOperator(circuit, reason, forMs, now), reason);
}

export async function resetCircuit(db: Database, key: string, reason: string): Promise<CircuitChange> {
  return changeCircuit(db, key, reset, reason);
}

/** Closes half-open circuits that no task has probed for so many days: their rows are then dropped as those of the others. */
export async function closeIdle(db: Database, keepDays: number): Promise<void> {
  for (const { key } of await db.cold<{ key: string }>(IDLE, [keepDays, MAX_IDLE])) {
    await changeCircuit(
      db,
      key,
      (circuit, now) =>
        circuit.state === "half_open" && circuit.since < now - keepDays * 86_400_000
          ? reset(circuit, now)
          : undefined,
      "idle",
    );
  }
}

/** Changes a circuit under the lock of its key; the same change twice has the effect of one. */
function changeCircuit<Change extends CircuitChange | undefined>(
  db: Database,
  key: string,
  decide: (circuit: Circuit, now: number) => Change,
  reason?: string,
): Promise<Change> {
  const lock = circuitLock(key).key;
  return db.retrying(() =>
    db.transaction(async (tx) => {
      await tx.run(LOCK, [lock]);
      const { now, circuits } = await readCircuits(tx.run, [key]);
      const change = decide(circuits.get(key) ?? newCircuit(key, now), now);
      if (change)
        await writeCircuits(
          tx.run,
          [change.circuit],
          [{ ...change, ...(reason === undefined ? {} : { reason }) }],
        );
      return change;
    }),
  );
}
