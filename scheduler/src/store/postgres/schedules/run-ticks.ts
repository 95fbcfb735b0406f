/** Submits the tasks of ticks in the transaction that advances their schedule. */
import { cut } from "@muster/common/text/text";
import type { Schedule, TickFailure, TickRecord } from "../../../domain/schedules/schedule.ts";
import { advanceSchedule, failSchedule, recordRun } from "../../../domain/schedules/schedule-changes.ts";
import { openAfter, overlapsOf, recordsOf } from "../../../domain/schedules/tick-run.ts";
import type { InsertedTask, TaskInsert } from "../../claims.ts";
import type { RunResult, TickRun, TickRunResult } from "../../schedules.ts";
import { int8Array } from "../arrays.ts";
import type { Database, Runner, Statement } from "../connection/database.ts";
import { insertKeyed } from "../unique-keys/insert-keyed.ts";
import { keyOwners } from "../unique-keys/key-rows.ts";
import { lockSchedule, recordEvents, tickEvent, writeSchedule } from "./schedule-rows.ts";

export const OPEN_TASKS: Statement = {
  name: "schedule-open-tasks",
  text: "select id from task where id = any($1::bigint[]) order by id",
};

/** Longest message of an event's attribute. */
const MAX_MESSAGE = 500;

/**
 * The lock of the schedule's row comes before all others that the insert takes, and no other statement takes it after
 * one of them. A second scheduler waits for it, and then finds another version.
 */
export function runTicks(
  db: Database,
  { name, version, plan, inserts }: TickRun,
): Promise<TickRunResult | undefined> {
  return db.batchTransaction(async (tx) => {
    const locked = await lockSchedule(tx, name);
    if (locked?.schedule.version !== version) return undefined;
    const { schedule: before, nowMs } = locked;
    const open = await openTasks(tx.run, before.taskIds);
    const overlaps = overlapsOf(before, open, plan.submit.length);
    const answers = await submit(
      tx,
      inserts.filter((_, index) => overlaps[index] === undefined),
    );
    const records = recordsOf(plan.submit, overlaps, answers, nowMs);
    const schedule = advanceSchedule(before, plan, records, openAfter(open, records), nowMs);
    await writeSchedule(tx, schedule);
    await recordEvents(tx, eventsOf(before, plan.missed, records, nowMs));
    const submitted = answers.values();
    const inserted = overlaps.map((overlap) => (overlap === undefined ? submitted.next().value : undefined));
    return { schedule, records, inserted };
  });
}

export function runSchedule(
  db: Database,
  name: string,
  insert: (nowMs: number) => TaskInsert,
): Promise<RunResult | undefined> {
  return db.batchTransaction(async (tx): Promise<RunResult | undefined> => {
    const locked = await lockSchedule(tx, name);
    if (!locked) return undefined;
    const { schedule: before, nowMs } = locked;
    const wanted = insert(nowMs);
    // Before the policy: the task of the earlier call may be open.
    const earlier = await submittedBefore(tx, wanted);
    if (earlier) return { kind: "submitted", schedule: before, inserted: earlier };
    const open = await openTasks(tx.run, before.taskIds);
    const [overlap] = overlapsOf(before, open, 1);
    if (typeof overlap === "number") return { kind: "overlaps", taskId: overlap };
    const [inserted] = await submit(tx, [wanted]);
    if (!inserted) throw new Error(`the task of schedule ${name} was not inserted`);
    const record: TickRecord = {
      ...{ tickMs: nowMs, outcome: "submitted", decidedMs: nowMs, taskId: inserted.id, manual: true },
    };
    const schedule = recordRun(before, record, openAfter(open, [record]));
    await writeSchedule(tx, schedule);
    await recordEvents(tx, [tickEvent(name, record)]);
    return { kind: "submitted", schedule, inserted };
  });
}

/** The task that has the unique key. No other call of the schedule inserts it meanwhile: the schedule is locked. */
async function submittedBefore(
  tx: Runner,
  { task: { queue, uniqueKey } }: TaskInsert,
): Promise<InsertedTask | undefined> {
  if (uniqueKey === undefined) return undefined;
  const [found] = await keyOwners(
    (statement, values) => tx.run(statement, values),
    [{ queue, key: uniqueKey }],
  );
  return found && { id: found.owner.id, duplicate: true, assigned: false };
}

export function failTicks(
  db: Database,
  name: string,
  version: number,
  failure: Pick<TickFailure, "code" | "message">,
): Promise<Schedule | undefined> {
  return db.transaction(async (tx) => {
    const locked = await lockSchedule(tx, name);
    if (locked?.schedule.version !== version) return undefined;
    const { schedule: before, nowMs } = locked;
    const schedule = failSchedule(before, failure, nowMs);
    await writeSchedule(tx, schedule);
    // The tries that follow are counted in the schedule.
    if (before.failure?.code !== failure.code)
      await recordEvents(tx, [
        {
          name: "schedule.failed",
          attributes: { schedule: name, code: failure.code, message: cut(failure.message, MAX_MESSAGE) },
        },
      ]);
    return schedule;
  });
}

export async function openTasks(run: Runner["run"], ids: readonly number[]): Promise<number[]> {
  if (ids.length === 0) return [];
  return (await run<{ id: number }>(OPEN_TASKS, [int8Array(ids)])).map(({ id }) => id);
}

async function submit(tx: Runner, inserts: readonly TaskInsert[]): Promise<InsertedTask[]> {
  return inserts.length === 0 ? [] : insertKeyed(tx, inserts, undefined);
}

function eventsOf(
  { name, failure }: Schedule,
  missed: TickRun["plan"]["missed"],
  records: readonly TickRecord[],
  nowMs: number,
) {
  const events = records.map((record) => tickEvent(name, record));
  if (missed)
    events.unshift(
      tickEvent(name, {
        ...{ tickMs: missed.firstMs, outcome: "missed", decidedMs: nowMs, count: missed.count },
        ...(missed.count > 1 ? { lastMs: missed.lastMs } : {}),
      }),
    );
  if (failure && records.length > 0)
    events.push({ name: "schedule.recovered", attributes: { schedule: name, code: failure.code } });
  return events;
}
