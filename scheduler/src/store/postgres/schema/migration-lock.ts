/** Lets one migrator at a time run. */
import type pg from "pg";
import { systemClock } from "../../../clock.ts";

/** Advisory lock that admits one migrator at a time: "muster" in ASCII. */
const LOCK_KEY = 120_597_207_049_586;

/** An advisory lock's key as pg_locks shows it, in two halves. */
const LOCK_HALVES = [Math.floor(LOCK_KEY / 2 ** 32), LOCK_KEY % 2 ** 32];

const TRY_EVERY_MS = 200;

/** Enough for another migrator to finish. */
const FIRST_WORD_MS = 1_000;
const LAST_WAIT_MS = 60_000;

/** The session that holds the lock. */
export interface MigrationWait {
  readonly waitedMs: number;
  readonly holderPid: number | undefined;
  /** Its `application_name`; empty when it has none. */
  readonly application: string;
  readonly role: string;
  /** When its session began; undefined when the role may not see it. */
  readonly since: Date | undefined;
}

const HOLDER = `select a.pid, coalesce(a.application_name, '') as application, coalesce(a.usename, '') as role,
    a.backend_start as since
    from pg_locks l left join pg_stat_activity a on a.pid = l.pid
   where l.locktype = 'advisory' and l.granted and l.objsubid = 1 and l.classid::bigint = $1 and l.objid::bigint = $2
     and l.database = (select oid from pg_database where datname = current_database())
   limit 1`;

/** Takes the lock until the session ends; reports the holder after a second, then at waits that double. */
export async function lockMigrations(
  client: pg.Client,
  onWait: (wait: MigrationWait) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  const began = systemClock.monotonic();
  let pause = FIRST_WORD_MS;
  let nextWord = began + pause;
  for (;;) {
    const { rows } = await client.query<{ locked: boolean }>("select pg_try_advisory_lock($1) as locked", [
      LOCK_KEY,
    ]);
    if (rows[0]?.locked) return;
    const now = systemClock.monotonic();
    if (now >= nextWord) {
      onWait(await holder(client, now - began));
      pause = Math.min(pause * 2, LAST_WAIT_MS);
      nextWord = now + pause;
    }
    await systemClock.sleep(TRY_EVERY_MS, signal);
    signal?.throwIfAborted();
  }
}

async function holder(client: pg.Client, waitedMs: number): Promise<MigrationWait> {
  const { rows } = await client.query<{ pid: number; application: string; role: string; since: Date | null }>(
    HOLDER,
    LOCK_HALVES,
  );
  const [row] = rows;
  return {
    waitedMs,
    holderPid: row?.pid,
    application: row?.application ?? "",
    role: row?.role ?? "",
    since: row?.since ?? undefined,
  };
}
