/** Reads what handlers logged. */
import {
  LOG_LEVELS,
  type LogLine,
  type LogPosition,
  type LogRange,
  type StoredLogRow,
} from "../../task-logs.ts";
import { int4Array, int8Array } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";

// Each attempt from its own position: the lines of a worker that was given up may come after those of the next attempt.
const AFTER: Statement = {
  name: "task-log-after",
  text: `select l.epoch, l.last_sequence, l.complete, l.time, l.lines
    from (select e.epoch, coalesce(p.sequence, 0) as sequence
            from generate_series($2::int, $3::int) as e(epoch)
            left join unnest($4::int[], $5::bigint[]) as p(epoch, sequence) using (epoch)) e
   cross join lateral (
     select * from task_log l
      where l.task_id = $1 and l.epoch = e.epoch and l.last_sequence > e.sequence
        and l.time >= to_timestamp($6::float8 / 1000)
      order by l.last_sequence limit $7) l
   order by l.epoch, l.last_sequence limit $7`,
};

/** Rows after the positions, by attempt and number. */
export async function logsAfter(
  db: Database,
  { taskId, sinceMs, firstEpoch, lastEpoch }: LogRange,
  positions: readonly LogPosition[],
  limit: number,
): Promise<StoredLogRow[]> {
  const rows = await db.cold<{
    epoch: number;
    last_sequence: number;
    complete: boolean;
    time: Date;
    lines: string;
  }>(AFTER, [
    ...[taskId, firstEpoch, lastEpoch],
    int4Array(positions.map(({ epoch }) => epoch)),
    int8Array(positions.map(({ sequence }) => sequence)),
    // Milliseconds are rounded down: nothing is older than its task.
    Math.floor(sinceMs),
    limit,
  ]);
  return rows.map(({ epoch, last_sequence: lastSequence, complete, time, lines }) => ({
    ...{ epoch, lastSequence, complete },
    timeMs: time.getTime(),
    lines: linesOf(lines),
  }));
}

function linesOf(text: string): LogLine[] {
  const rows: [number, number, number, string, string?][] = JSON.parse(text);
  return rows.map(([sequence, ageMs, level, message, fields = ""]) => ({
    ...{ sequence, ageMs, message, fields },
    level: LOG_LEVELS[level] ?? "info",
  }));
}
