/** Compares the submitted ticks with the schedule. */
import type { TestDatabase } from "../../support/database/postgres.ts";
import { SCHEDULE } from "../limits.ts";

/**
 * Compares the submitted ticks with those of the timing, from the moment when the schedule was made to its position: each
 * has exactly one task, and none was recorded as missed or skipped.
 */
export async function ticksBroken(
  db: Pick<TestDatabase, "query">,
  submitted: readonly number[],
  violations: string[],
): Promise<number> {
  const [schedule] = await db.query<{ made: number; position: number; records: string }>(
    `select (record ->> 'createdMs')::float8 as made, (record ->> 'positionMs')::float8 as position,
       (select count(*) from event where name in ('schedule.missed', 'schedule.skipped')) as records
       from schedule where name = $1`,
    [SCHEDULE.name],
  );
  if (!schedule) {
    violations.push(`there is no schedule ${SCHEDULE.name}`);
    return 1;
  }
  const before = violations.length;
  if (Number(schedule.records) > 0)
    violations.push(`${schedule.records} ticks were recorded as missed or skipped`);
  const everyMs = SCHEDULE.everyS * 1_000;
  const counts = Map.groupBy(submitted, (tick) => tick);
  const first = (Math.floor(schedule.made / everyMs) + 1) * everyMs;
  for (let tick = first; tick <= schedule.position; tick += everyMs) {
    const count = counts.get(tick)?.length ?? 0;
    counts.delete(tick);
    if (count !== 1)
      violations.push(`the tick of ${new Date(tick).toISOString()} was submitted ${count} times`);
  }
  for (const tick of counts.keys())
    violations.push(`${new Date(tick).toISOString()} was submitted, and is no tick of the schedule`);
  return violations.length - before;
}
