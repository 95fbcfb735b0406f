/** Edits a task that has not ended. */
import { ClassesGoneError } from "../../../../domain/errors.ts";
import { type EditPlan, type FieldChange, planEdit, type TaskEdit } from "../../../../domain/tasks/edit.ts";
import { isStrict } from "../../../../domain/tasks/limits/concurrency.ts";
import { MOVED, untilFound } from "../../../../domain/tasks/moving-task.ts";
import type { TaskRecord } from "../../../../domain/tasks/task.ts";
import type { EditResult } from "../../../tasks.ts";
import { jsonParam } from "../../arrays.ts";
import { changedClasses, keepPerKey } from "../../changes/move.ts";
import type { Database, Statement } from "../../connection/database.ts";
import { followedTask } from "../read.ts";
import { DEADLINE, WAKE } from "../submit.ts";
import { startTime } from "./hold.ts";

const START = startTime(WAKE);

/** The start time of a task `t` as text; null for now. */
const STORED_START =
  "coalesce(t.hold ->> 'wake', case when t.wake_time < 'infinity' then to_jsonb(t.wake_time) #>> '{}' end)";

// Only the version of the row that the edit was planned for. No lock is held between the plan and the write: a claim of many
// tasks does not wait for the scheduler that plans.
const EDIT: Statement = {
  name: "task-edit",
  text: `with d as (
    select $3::smallint as priority, $4::text as options, $5::boolean as starts, $6::float8 as delay_ms, $7::float8 as run_at_ms,
           $8::float8 as queue_wait_ms),
  old as (select t.id, ${STORED_START} as start from task t where t.id = $1),
  edited as (
    update task t
       set priority = d.priority, options = d.options::jsonb, class_id = coalesce($11::int, t.class_id),
           wake_time = case when d.starts then ${START.wakeTime} else t.wake_time end,
           hold = case when d.starts then ${START.hold} else t.hold end,
           start_deadline = case when d.starts and t.epoch = 0 then ${DEADLINE} else t.start_deadline end,
           ready_time = case when d.starts and t.wake_time is not null and ${WAKE} is null then now() else t.ready_time end
      from d where t.id = $1 and t.xmin::text = $2
    returning t.id, t.class_id, t.priority, t.epoch, t.session_id, t.hold is not null as held, ${STORED_START} as start,
      case when t.wake_time < 'infinity' then extract(epoch from t.wake_time - now())::float8 * 1000 end as wait_ms),
  changes as (
    select $9::jsonb || case when $5 then jsonb_build_object('run_time_before', coalesce(old.start, ''),
             'run_time_after', coalesce(edited.start, '')) else '{}' end as attributes
      from edited join old using (id)),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'edited', edited.id, edited.epoch, changes.attributes || jsonb_build_object('reason', $10::text)
      from edited, changes)
  select edited.*, old.start as start_before from edited join old using (id)`,
};

interface EditedRow {
  id: number;
  class_id: number;
  priority: number;
  epoch: number;
  session_id: number | null;
  held: boolean;
  start: string | null;
  start_before: string | null;
  wait_ms: number | null;
}

/** Changes a task as `planEdit` decides for it as it is. */
export function editTask(db: Database, id: number, edit: TaskEdit, reason: string): Promise<EditResult> {
  return untilFound(id, "edited", async () => {
    const found = await followedTask(db, id);
    if (!found) return undefined;
    const plan = planEdit(found.task, edit);
    if (typeof plan === "string") return { outcome: "refused", why: plan };
    if (plan.changes.length === 0 && !plan.start) return { outcome: "unchanged" };
    const { task, version } = found;
    const values = [id, version, ...params(task, plan, reason)];
    const [row] =
      plan.priority !== task.priority && isStrict(task.concurrency)
        ? await editMoving(db, task, plan.priority, values)
        : await db.cold<EditedRow>(EDIT, [...values, null]);
    return row ? edited(row, task.classId, plan) : MOVED;
  });
}

const LOCK: Statement = {
  name: "task-edit-lock",
  text: "select from task where id = $1 and xmin::text = $2 for update",
};

/** Also gives the task the class of the priority. None when the task, or that class, has changed meanwhile. */
async function editMoving(
  db: Database,
  { classId: before }: TaskRecord,
  priority: number,
  values: readonly unknown[],
): Promise<EditedRow[]> {
  const change = { kind: "set_priority", priority } as const;
  // Before the transaction: a class that is made is seen by others at once.
  const classId = (await changedClasses(db, change, [{ classId: before }])).get(before) ?? before;
  try {
    return await db.retrying(() =>
      db.transaction(async (tx) => {
        // Tasks are locked before classes.
        if ((await tx.run(LOCK, values.slice(0, 2))).length === 0) return [];
        await keepPerKey(tx, [{ classId }]);
        return tx.run<EditedRow>(EDIT, [...values, classId]);
      }),
    );
  } catch (error) {
    if (error instanceof ClassesGoneError) return [];
    throw error;
  }
}

function params({ options }: TaskRecord, plan: EditPlan, reason: string): unknown[] {
  const { start } = plan;
  return [
    plan.priority,
    jsonParam(plan.options),
    start !== undefined,
    start && "delayMs" in start ? start.delayMs : null,
    start && "runAtMs" in start ? start.runAtMs : null,
    options?.timeouts?.queueWaitMs ?? null,
    jsonParam(
      Object.fromEntries(
        plan.changes.flatMap(({ field, before, after }) => [
          [`${field}_before`, before],
          [`${field}_after`, after],
        ]),
      ),
    ),
    reason,
  ];
}

function edited(row: EditedRow, classBefore: number, plan: EditPlan): EditResult {
  const { id, class_id: classId, priority, epoch, session_id: sessionId, held, wait_ms: waitMs } = row;
  const [before, after] = [row.start_before ?? "", row.start ?? ""];
  const moved: FieldChange[] = plan.start && before !== after ? [{ field: "run_time", before, after }] : [];
  return {
    outcome: "edited",
    task: { id, classId, priority },
    classBefore,
    changes: [...plan.changes, ...moved],
    attempt: sessionId === null ? undefined : { key: { taskId: id, epoch }, sessionId },
    // Neither for one that waits for tasks, whose start cannot be edited.
    startsIn: plan.start && !held ? (waitMs ?? 0) : undefined,
  };
}
