/** Reads and writes the rows of schedules, with the events of their changes. */
import type { Schedule, TickRecord } from "../../../domain/schedules/schedule.ts";
import { int8Array, textArray } from "../arrays.ts";
import type { Runner, Statement } from "../connection/database.ts";

/** The moment of a statement, in whole milliseconds since the epoch. */
export const NOW_MS = "floor(extract(epoch from clock_timestamp()) * 1000)::float8";

const LOCK: Statement = {
  name: "schedule-lock",
  text: `select record, ${NOW_MS} as now_ms from schedule where name = $1 for update`,
};

// A new name gets a row that no other transaction reads before the commit. The update changes nothing: it waits for a
// transaction that makes or deletes the row.
const MAKE: Statement = {
  name: "schedule-make",
  text: "insert into schedule (name, record, template) values ($1, '{}', '') on conflict (name) do update set name = excluded.name",
};

const WRITE: Statement = {
  name: "schedule-write",
  text: "update schedule set due_time = to_timestamp($2::float8 / 1000), record = $3::jsonb where name = $1",
};

const WRITE_TEMPLATE: Statement = {
  name: "schedule-write-template",
  text: "update schedule set template = $2 where name = $1",
};

const EVENTS: Statement = {
  name: "schedule-events",
  text: `insert into event (name, task_id, attributes)
    select name, task_id, attributes::jsonb
      from unnest($1::text[], $2::bigint[], $3::text[]) with ordinality as d(name, task_id, attributes, n) order by n`,
};

const HINT: Statement = { name: "schedule-hint", text: `select pg_notify('muster', '{"kind":"schedules"}')` };

/** An event of a schedule. */
export interface ScheduleEvent {
  readonly name: string;
  readonly taskId?: number | undefined;
  readonly attributes: Readonly<Record<string, string>>;
}

/** The schedule, whose row stays locked until the commit. */
export async function lockSchedule(
  tx: Runner,
  name: string,
): Promise<{ schedule: Schedule; nowMs: number } | undefined> {
  const [row] = await tx.run<{ record: Schedule; now_ms: number }>(LOCK, [name]);
  return row && { schedule: row.record, nowMs: row.now_ms };
}

/** The same for a schedule that is to be set: undefined when its name is new. */
export async function lockOrMake(
  tx: Runner,
  name: string,
): Promise<{ schedule: Schedule | undefined; nowMs: number }> {
  await tx.run(MAKE, [name]);
  const locked = await lockSchedule(tx, name);
  if (!locked) throw new Error(`schedule ${name} has no row although its row was just locked`);
  const { schedule, nowMs } = locked;
  return { schedule: "name" in schedule ? schedule : undefined, nowMs };
}

/** Writes a schedule whose row is locked. */
export async function writeSchedule(tx: Runner, schedule: Schedule): Promise<void> {
  await tx.run(WRITE, [schedule.name, schedule.dueMs ?? null, JSON.stringify(schedule)]);
}

export async function writeTemplate(tx: Runner, name: string, template: Uint8Array): Promise<void> {
  await tx.run(WRITE_TEMPLATE, [name, template]);
}

export async function recordEvents(tx: Runner, events: readonly ScheduleEvent[]): Promise<void> {
  if (events.length === 0) return;
  await tx.run(EVENTS, [
    textArray(events.map(({ name }) => name)),
    int8Array(events.map(({ taskId }) => taskId)),
    textArray(events.map(({ attributes }) => JSON.stringify(attributes))),
  ]);
}

/** Other schedulers look when the next one is due. */
export async function hintSchedules(tx: Runner): Promise<void> {
  await tx.run(HINT, []);
}

/** The event of a decided tick. */
export function tickEvent(schedule: string, record: TickRecord): ScheduleEvent {
  const { tickMs, outcome, decidedMs, taskId, manual, count, lastMs } = record;
  const attributes = {
    schedule,
    tick_time: new Date(tickMs).toISOString(),
    ...(outcome === "submitted" && !manual ? { late_ms: String(decidedMs - tickMs) } : {}),
    ...(outcome === "duplicate" ? { duplicate: "true" } : {}),
    ...(manual ? { manual: "true" } : {}),
    ...(outcome === "skipped" && taskId !== undefined ? { open_task_id: `t-${taskId}` } : {}),
    ...(outcome === "missed" ? { count: String(count ?? 1) } : {}),
    ...(lastMs === undefined ? {} : { last_tick_time: new Date(lastMs).toISOString() }),
  };
  switch (outcome) {
    case "submitted":
    case "duplicate":
      return { name: "schedule.fired", taskId, attributes };
    case "skipped":
      return { name: "schedule.skipped", attributes };
    case "missed":
      return { name: "schedule.missed", attributes };
    default: {
      const unknown: never = outcome;
      throw new TypeError(`unknown outcome of a tick ${String(unknown)}`);
    }
  }
}
