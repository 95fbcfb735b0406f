/** Reads schedules, and changes them for operators. */
import type { Schedule, ScheduleWithTask } from "../../../domain/schedules/schedule.ts";
import {
  pauseSchedule as pause,
  resumeSchedule as resume,
  setSchedule as set,
  type WantedSchedule,
} from "../../../domain/schedules/schedule-changes.ts";
import type { DueSchedules, ScheduleFilter } from "../../schedules.ts";
import type { Database, Statement } from "../connection/database.ts";
import {
  hintSchedules,
  lockOrMake,
  lockSchedule,
  NOW_MS,
  recordEvents,
  writeSchedule,
  writeTemplate,
} from "./schedule-rows.ts";

// One row at least: the moment and the next time come without a schedule, too.
const DUE: Statement = {
  name: "schedule-due",
  text: `with t as materialized (select clock_timestamp() as now),
  d as (select record, template, due_time from schedule, t where due_time <= t.now order by due_time limit $1)
  select d.record, d.template, floor(extract(epoch from t.now) * 1000)::float8 as now_ms,
    (select extract(epoch from min(due_time) - t.now)::float8 * 1000 from schedule where due_time > t.now) as next_ms
    from t left join d on true order by d.due_time`,
};

const GET: Statement = {
  name: "schedule-get",
  text: "select record, template from schedule where name = $1",
};

const LIST: Statement = {
  name: "schedule-list",
  text: "select record from schedule where $1::text is null or name > $1 order by name limit $2",
};

const TROUBLED: Statement = {
  name: "schedule-troubled",
  text: `select record, ${NOW_MS} as now_ms from schedule
   where record -> 'pause' is not null or record -> 'failure' is not null
      or due_time < clock_timestamp() - $1::float8 * interval '1 ms'
   order by name limit $2`,
};

const DELETE: Statement = { name: "schedule-delete", text: "delete from schedule where name = $1" };

interface Row {
  record: Schedule;
  template: Buffer;
}

export async function dueSchedules(db: Database, limit: number): Promise<DueSchedules> {
  const rows = await db.cold<Partial<Row> & { now_ms: number; next_ms: number | null }>(DUE, [limit]);
  return {
    schedules: rows.flatMap(({ record, template }) =>
      record && template ? [{ schedule: record, template }] : [],
    ),
    nowMs: rows[0]?.now_ms ?? 0,
    nextDueInMs: rows[0]?.next_ms ?? undefined,
  };
}

export async function getSchedule(db: Database, name: string): Promise<ScheduleWithTask | undefined> {
  const [row] = await db.cold<Row>(GET, [name]);
  return row && { schedule: row.record, template: row.template };
}

export async function listSchedules(db: Database, { afterName, limit }: ScheduleFilter): Promise<Schedule[]> {
  const rows = await db.cold<Pick<Row, "record">>(LIST, [afterName ?? null, limit]);
  return rows.map(({ record }) => record);
}

export async function troubledSchedules(
  db: Database,
  lateMs: number,
  limit: number,
): Promise<{ schedules: Schedule[]; nowMs: number }> {
  const rows = await db.cold<Pick<Row, "record"> & { now_ms: number }>(TROUBLED, [lateMs, limit]);
  return { schedules: rows.map(({ record }) => record), nowMs: rows[0]?.now_ms ?? 0 };
}

/** Setting a schedule twice has the effect of one: it is tried again while the database is away. */
export function setSchedule(
  db: Database,
  wanted: WantedSchedule,
  template: Uint8Array,
  reason: string,
): Promise<Schedule> {
  return db.retrying(() =>
    db.transaction(async (tx) => {
      const { schedule: before, nowMs } = await lockOrMake(tx, wanted.name);
      const schedule = set(before, wanted, nowMs);
      await writeSchedule(tx, schedule);
      await writeTemplate(tx, wanted.name, template);
      const attributes = { schedule: wanted.name, reason };
      await recordEvents(tx, [{ name: before ? "schedule.changed" : "schedule.created", attributes }]);
      await hintSchedules(tx);
      return schedule;
    }),
  );
}

export function pauseSchedule(db: Database, name: string, reason: string): Promise<Schedule | undefined> {
  return change(db, name, reason, "schedule.paused", (schedule, nowMs) => pause(schedule, reason, nowMs));
}

export function resumeSchedule(db: Database, name: string, reason: string): Promise<Schedule | undefined> {
  return change(db, name, reason, "schedule.resumed", resume);
}

export function deleteSchedule(db: Database, name: string, reason: string): Promise<boolean> {
  return db.retrying(() =>
    db.transaction(async (tx) => {
      if (!(await lockSchedule(tx, name))) return false;
      await tx.run(DELETE, [name]);
      await recordEvents(tx, [{ name: "schedule.deleted", attributes: { schedule: name, reason } }]);
      await hintSchedules(tx);
      return true;
    }),
  );
}

function change(
  db: Database,
  name: string,
  reason: string,
  event: string,
  decide: (schedule: Schedule, nowMs: number) => Schedule,
): Promise<Schedule | undefined> {
  return db.retrying(() =>
    db.transaction(async (tx) => {
      const locked = await lockSchedule(tx, name);
      if (!locked) return undefined;
      const schedule = decide(locked.schedule, locked.nowMs);
      if (schedule === locked.schedule) return schedule;
      await writeSchedule(tx, schedule);
      await recordEvents(tx, [{ name: event, attributes: { schedule: name, reason } }]);
      await hintSchedules(tx);
      return schedule;
    }),
  );
}
