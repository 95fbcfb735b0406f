/** Writes and reads the successes that schedulers counted. */
import type { CompletionCount, Completions } from "../../store.ts";
import { int4Array, textArray } from "../arrays.ts";
import type { Database, Statement } from "../connection/database.ts";

const ADD: Statement = {
  name: "completions-add",
  text: `with added as (
    insert into completion_count (scheduler_id, number, queues, types, counts, waits)
    select $1, $2, $3::text[], $4::text[], $5::int[], nullif($6::int[], '{}') where cardinality($5::int[] || $6::int[]) > 0
    on conflict do nothing)
  update scheduler set count_time = now() where id = $1`,
};

// Of a scheduler that has not written any the age is that of its start.
const AGE = `(select extract(epoch from now() - min(coalesce(count_time, start_time)))::float8 * 1000
    from scheduler where lease_until >= now())`;

// A row dated after now was written before the database's clock was set back: it counts.
const sinceText = (start: string): string => `with counted as (
    select u.queue, u.type, sum(u.count)::float8 as count
      from completion_count c cross join lateral unnest(c.queues, c.types, c.counts) as u(queue, type, count)
     where c.time > ${start} group by u.queue, u.type)
  select coalesce((select json_agg(c) from counted c), '[]') as counts, ${AGE} as age_ms,
    exists (select from completion_count where scheduler_id = '' and time > ${start}) as began_later`;

const SINCE: Statement = { name: "completions-since", text: sinceText("$1::timestamptz") };
const RECENT: Statement = {
  name: "completions-recent",
  text: sinceText("now() - $1::float8 * interval '1 ms'"),
};

interface Row {
  counts: CompletionCount[];
  age_ms: number | null;
  began_later: boolean;
}

/** Adds counts under a number that the scheduler uses once. */
export async function addCompletions(
  db: Database,
  schedulerId: string,
  number: number,
  counts: readonly CompletionCount[],
  waits: readonly number[] = [],
): Promise<void> {
  await db.cold(ADD, [
    schedulerId,
    number,
    textArray(counts.map(({ queue }) => queue)),
    textArray(counts.map(({ type }) => type)),
    int4Array(counts.map(({ count }) => count)),
    int4Array(waits),
  ]);
}

/** Successes since then; undefined when counting began later. */
export async function completionsSince(db: Database, time: Date): Promise<Completions | undefined> {
  const [row] = await db.cold<Row>(SINCE, [time]);
  return row && !row.began_later ? toCompletions(row) : undefined;
}

/** Successes of the last `windowMs`. */
export async function recentCompletions(db: Database, windowMs: number): Promise<Completions> {
  const [row] = await db.cold<Row>(RECENT, [windowMs]);
  return row ? toCompletions(row) : { counts: [], ageMs: undefined };
}

function toCompletions({ counts, age_ms }: Row): Completions {
  return { counts, ageMs: age_ms ?? undefined };
}
