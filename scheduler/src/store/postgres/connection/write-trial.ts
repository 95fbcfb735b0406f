/** Tries whether the database takes writes. */
import type { Clock } from "../../../clock.ts";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import type { Database, Statement } from "./database.ts";

/** Interval of trials while no fault is known. */
const EVERY_MS = 5_000;

/** A locked table is reported by other checks; the trial does not wait for it. */
const LOCK_TIMEOUT = "500ms";

const SETTINGS: Statement = {
  name: "trial-settings",
  text: `select set_config('work_mem', '64kB', true), set_config('temp_tablespaces', '', true),
           set_config('lock_timeout', $1, true)`,
};

// Rows may fit into existing pages of a table, so a new file, which is removed afterwards, tests the disk itself. It has
// 400 kB: as much as the largest results of most tasks.
const ROOM: Statement = {
  name: "trial-room",
  text: "select count(*) from generate_series(1, 20000)",
};

// Every table and every verb of a submit, a claim, a result and their record. Rows are rolled back; where none is needed,
// the privilege alone is tested. Ids below zero belong to no row, and take none from the sequences.
const WRITES: Statement = {
  name: "trial-writes",
  text: `with filler as materialized (
    select coalesce(string_agg(md5(random()::text || g), ''), '') as text,
           -1 - (random() * 1e15)::bigint as id
      from generate_series(1, $1::int) g),
  t as (insert into task (id, class_id, priority, state, payload) overriding system value
    select id, -1, 0, 0, convert_to(text, 'utf8') from filler),
  f as (insert into task_finished (id, class_id, priority, state, detail, attempt_count, oom_count, epoch, create_time, payload)
    select id, -1, 0, 4, 'trial', 0, 0, 0, now(), convert_to(text, 'utf8') from filler),
  a as (insert into task_attempt (task_id, epoch, number, outcome) select id, 0, 0, 'trial' from filler),
  e as (insert into event (id, name, attributes) overriding system value
    select id, 'trial', jsonb_build_object('text', text) from filler),
  o as (insert into task_output (task_id, epoch, sequence, data)
    select id, 0, 0, convert_to(text, 'utf8') from filler),
  tu as (update task set state = state where false),
  td as (delete from task where false),
  fd as (delete from task_finished where false),
  k as (insert into task_key (queue, key, task_id) select '', '', 0 where false),
  ku as (update task_key set task_id = task_id where false),
  c as (insert into task_class (key, queue, type) select '', '', '' where false),
  ci as (insert into command (scheduler_id, session_id, kind) select '', 0, '' where false),
  cd as (delete from command where false),
  s as (insert into worker_session (uuid, worker_id, scheduler_id, hello)
    select gen_random_uuid(), '', '', '{}'::jsonb where false),
  su as (update worker_session set ready = ready where false),
  li as (insert into session_lease (session_id, scheduler_id, lease_until) select 0, '', now() where false),
  lu as (update session_lease set lease_until = lease_until where false)
  select 1 from filler`,
};

/** Lines of 32 letters: enough to need a new page in every written table. */
const FILLER_LINES = 1_000;

/** Writes what a scheduler writes, and rolls it back. */
export class WriteTrial {
  readonly #db: Database;
  readonly #clock: Clock;
  #at = Number.NEGATIVE_INFINITY;
  #failed = false;

  constructor(db: Database, clock: Clock) {
    this.#db = db;
    this.#clock = clock;
  }

  /**
   * Runs a trial every five seconds, and at each call after a statement or the last trial has failed.
   *
   * @throws DatabaseUnavailableError when the disk is full, a privilege or a partition is missing, or the like.
   */
  async look(): Promise<void> {
    const now = this.#clock.monotonic();
    const suspicious = this.#failed || this.#db.lastFailureMs > this.#at;
    if (!suspicious && now - this.#at < EVERY_MS) return;
    this.#at = now;
    this.#failed = true;
    try {
      await this.#db.rolledBack(async (tx) => {
        await tx.run(SETTINGS, [LOCK_TIMEOUT]);
        await tx.run(ROOM, []);
        await tx.run(WRITES, [suspicious ? FILLER_LINES : 0]);
      });
    } catch (error) {
      if (error instanceof DatabaseUnavailableError && error.condition !== "locked") throw error;
      if (!(error instanceof DatabaseUnavailableError)) throw unusable(error);
    }
    this.#failed = false;
  }
}

/** The rows of the trial are valid, so every refusal is an error of the database. */
function unusable(error: unknown): DatabaseUnavailableError {
  const message = error instanceof Error ? error.message : String(error);
  return new DatabaseUnavailableError(`the database refuses a write: ${message}`, false, error, "refused");
}
