/** Stores what handlers log. */
import { LOG_LEVELS, type LogRow } from "../../task-logs.ts";
import { boolArray, int4Array, int8Array, textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";

// An attempt that its session holds is not looked up: that is the rule. The lines of one that has ended meanwhile are few.
const APPEND: Statement = {
  name: "task-log-append",
  text: `insert into task_log (task_id, epoch, first_sequence, last_sequence, complete, lines)
    select d.task_id, d.epoch, d.first, d.last, d.complete, d.lines
      from unnest($1::bigint[], $2::int[], $3::bigint[], $4::bigint[], $5::bool[], $6::text[], $7::bigint[])
        as d(task_id, epoch, first, last, complete, lines, session_id)
     where d.session_id is null
        or exists (select from task t where t.id = d.task_id and t.epoch = d.epoch and t.session_id = d.session_id)
        or exists (select from task_finished f
                    where f.id = d.task_id and f.epoch = d.epoch and f.session_id = d.session_id)
        or exists (select from task_attempt a
                    where a.task_id = d.task_id and a.epoch = d.epoch and a.session_id = d.session_id)
    returning 1 as one`,
};

/** Stores lines; returns how many rows were of attempts that the session never held. */
export async function appendLogs(db: Database, rows: readonly LogRow[]): Promise<number> {
  const written = await db.cold(APPEND, [
    int8Array(rows.map(({ taskId }) => taskId)),
    int4Array(rows.map(({ epoch }) => epoch)),
    int8Array(rows.map(({ lines, endSequence }) => lines[0]?.sequence ?? endSequence ?? 0)),
    int8Array(rows.map(({ lines, endSequence }) => endSequence ?? lines.at(-1)?.sequence ?? 0)),
    boolArray(rows.map(({ endSequence }) => endSequence !== undefined)),
    textArray(rows.map(textOf)),
    int8Array(rows.map(({ unverifiedSessionId }) => unverifiedSessionId)),
  ]);
  return rows.length - written.length;
}

function textOf({ lines }: LogRow): string {
  return JSON.stringify(
    lines.map(({ sequence, ageMs, level, message, fields }) => [
      ...[sequence, Math.round(ageMs), LOG_LEVELS.indexOf(level), message],
      ...(fields === "" ? [] : [fields]),
    ]),
  );
}
