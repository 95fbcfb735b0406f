import type { Store } from "@muster/scheduler";
import { monotonicMs } from "../lab/monotonic.ts";
import type { BenchDatabase } from "../lab/postgres.ts";
import { makePayload } from "../systems/driver.ts";

/** Rows in one statement: large enough for the rate, small enough to stop at a limit of time. */
const CHUNK = 250_000;

/** Makes a class of tasks without requirements; answers its id. */
export async function classOf(store: Store, type: string): Promise<number> {
  const requirements = { labels: {}, resources: [] };
  const [made] = await store.resolveClasses([{ queue: "default", type, requirements }]);
  if (!made) throw new Error(`the store made no class for ${type}`);
  return made.id;
}

/** Adds waiting tasks of the class by SQL until there are `wanted`. */
export async function fillWaiting(
  database: BenchDatabase,
  classId: number,
  wanted: number,
  payloadBytes: number,
): Promise<void> {
  const [row] = await database.query("select count(*)::int as n from muster.task where state = 0");
  const payload = Buffer.from(JSON.stringify(makePayload(payloadBytes)));
  for (let left = wanted - Number(row?.n); left > 0; left -= CHUNK) {
    await database.query(
      `insert into muster.task (class_id, priority, state, payload)
       select $1, 0, 0, $2 from generate_series(1, $3::int)`,
      [classId, payload, Math.min(left, CHUNK)],
    );
  }
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
