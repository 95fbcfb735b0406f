/** Holds waiting tasks back, and releases them. */

import { MOVED, untilFound } from "../../../../domain/tasks/moving-task.ts";
import type { HoldResult, ReleaseResult } from "../../../tasks.ts";
import type { Database, Statement } from "../../connection/database.ts";
import { IS_WAITING } from "../../dependencies/links.ts";
import { STATE } from "../../task-states.ts";

/** The start time that a held task `t` has when it is released; null for none. */
const WAKE_AFTER_HOLD = "(t.hold ->> 'wake')::timestamptz";

/**
 * What a statement that sets the start time of a task `t` writes: a held one keeps it for its release.
 *
 * @param wake The start time; null for none.
 */
export function startTime(wake: string): { wakeTime: string; hold: string } {
  return {
    wakeTime: `case when t.hold is null then ${wake} else 'infinity' end`,
    hold: `case when t.hold is not null then
             (t.hold - 'wake') || jsonb_strip_nulls(jsonb_build_object('wake', ${wake})) end`,
  };
}

// A claim at the same moment waits for the lock of the row and finds the task held, or this finds it assigned.
const HOLD: Statement = {
  name: "task-hold",
  text: `with held as (
    update task t
       set wake_time = 'infinity',
           hold = jsonb_build_object('reason', $2::text, 'time', now())
             || case when t.wake_time < 'infinity' then jsonb_build_object('wake', t.wake_time) else '{}' end
     where t.id = $1 and t.state = ${STATE.queued} and t.hold is null
    returning t.id, t.class_id, t.epoch),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'held', id, epoch, jsonb_build_object('reason', $2::text) from held)
  select class_id from held`,
};

const RELEASE: Statement = {
  name: "task-release",
  text: `with released as (
    update task t
       set hold = null,
           wake_time = case when ${IS_WAITING} then t.wake_time
             when ${WAKE_AFTER_HOLD} > now() then ${WAKE_AFTER_HOLD} end,
           ready_time = case when ${IS_WAITING} or ${WAKE_AFTER_HOLD} > now() then t.ready_time else now() end
     where t.id = $1 and t.hold is not null
    returning t.id, t.class_id, t.priority, t.epoch, ${IS_WAITING} as waits,
      case when t.wake_time < 'infinity' then extract(epoch from t.wake_time - now())::float8 * 1000 end as wait_ms),
  ev as (
    insert into event (name, task_id, epoch, attributes)
    select 'hold_released', id, epoch, jsonb_build_object('reason', $2::text) from released)
  select id, class_id, priority, waits, wait_ms from released`,
};

// One snapshot finds a task that moves between the tables exactly once.
const PLACE: Statement = {
  name: "task-hold-place",
  text: `select t.state, t.hold is not null as held from task t where t.id = $1
    union all
    select f.state, false from task_finished f where f.id = $1`,
};

interface Place {
  state: number;
  held: boolean;
}

/** Holds a queued task back. A second hold changes nothing. */
export function holdTask(db: Database, id: number, reason: string): Promise<HoldResult> {
  // The statement misses a task that is claimed or requeued at the same moment: it runs again.
  return untilFound(id, "held", async () => {
    const [row] = await db.cold<{ class_id: number }>(HOLD, [id, reason]);
    if (row) return { outcome: "held", classId: row.class_id };
    const [place] = await db.cold<Place>(PLACE, [id]);
    if (!place) return undefined;
    if (place.held) return { outcome: "held_before" };
    if (place.state > STATE.running) return { outcome: "ended" };
    return place.state === STATE.queued ? MOVED : { outcome: "active" };
  });
}

/** Ends the hold of a task, which then waits for what it waited for before. */
export async function releaseTask(db: Database, id: number, reason: string): Promise<ReleaseResult> {
  interface Row {
    id: number;
    class_id: number;
    priority: number;
    waits: boolean;
    wait_ms: number | null;
  }
  const [row] = await db.cold<Row>(RELEASE, [id, reason]);
  if (row) {
    const { class_id: classId, priority, waits, wait_ms: waitMs } = row;
    return {
      outcome: "released",
      task: { id, classId, priority },
      waitsForTasks: waits,
      waitMs: waitMs ?? undefined,
    };
  }
  const [place] = await db.cold<Place>(PLACE, [id]);
  if (!place) return undefined;
  // Held after the statement: it was not when this was asked.
  return { outcome: place.state > STATE.running ? "ended" : "not_held" };
}
