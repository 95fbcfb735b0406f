/** Fills a queue with waiting tasks, and the history with ended ones. */
import { openPostgresStore, type Store } from "@muster/scheduler";
import { monotonicMs } from "../lab/monotonic.ts";
import type { BenchDatabase } from "../lab/postgres.ts";
import { makePayload } from "../systems/driver.ts";

/** Rows in one statement: large enough for the rate, small enough to stop at a limit of time. */
const CHUNK = 250_000;

/** Makes a class without requirements for each type; answers their ids. */
export async function makeClasses(store: Store, types: readonly string[]): Promise<number[]> {
  const requirements = { labels: {}, resources: [] };
  const made = await store.resolveClasses(types.map((type) => ({ queue: "default", type, requirements })));
  return made.map(({ id }) => id);
}

/** The store as a scheduler uses it. @param onLost Called for connections that were lost. */
export function openStore(database: BenchDatabase, onLost: (text: string) => void): Store {
  return openPostgresStore({
    url: database.url,
    applicationName: "bench",
    onConnectionError: (error) => onLost(`the store lost a connection: ${error.message}`),
  });
}

/** Adds waiting tasks by SQL, spread evenly over the classes. */
export async function addWaiting(
  database: BenchDatabase,
  classIds: readonly number[],
  count: number,
  payloadBytes: number,
): Promise<void> {
  const payload = Buffer.from(JSON.stringify(makePayload(payloadBytes)));
  for (let left = count; left > 0; left -= CHUNK) {
    await database.query(
      `insert into muster.task (class_id, priority, state, payload)
       select ($1::int[])[1 + n % cardinality($1::int[])], 0, 0, $2 from generate_series(1, $3::int) as n`,
      [classIds, payload, Math.min(left, CHUNK)],
    );
  }
}

/** Removes every waiting task. */
export async function clearWaiting(database: BenchDatabase): Promise<void> {
  await database.query("truncate muster.task");
}

/**
 * Adds ended tasks as they are after a run: in today's partition, with payload, output and times.
 *
 * @returns How many there are when the wanted number or the limit of time is reached.
 */
export async function fillFinished(
  database: BenchDatabase,
  classId: number,
  wanted: number,
  payloadBytes: number,
  limitMs: number,
): Promise<number> {
  const payload = Buffer.from(JSON.stringify(makePayload(payloadBytes)));
  // Their ids come before those of the tasks that wait.
  await database.query("select setval(pg_get_serial_sequence('muster.task', 'id'), $1)", [wanted + 1]);
  const deadline = monotonicMs() + limitMs;
  let filled = 0;
  while (filled < wanted && monotonicMs() < deadline) {
    const count = Math.min(CHUNK, wanted - filled);
    await database.query(
      `insert into muster.task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch,
         session_id, create_time, assign_time, accept_time, start_time, payload, output)
       select id, $1, 0, 3, '', 1, 0, 1, 1, now(), now(), now(), now(), $2, 'null'
         from generate_series($3::bigint, $4::bigint) as id`,
      [classId, payload, filled + 1, filled + count],
    );
    filled += count;
  }
  return filled;
}
