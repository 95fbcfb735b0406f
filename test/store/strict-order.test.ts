import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import pg from "pg";
import type { ConcurrencyKey } from "../../scheduler/src/domain/tasks/limits/concurrency.ts";
import type { Store } from "../../scheduler/src/store/store.ts";
import { until } from "../support/waits.ts";
import {
  commitRequest,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

/** Keys with a strict order, and tasks that wait for each. */
const KEYS = 10_000;
const OF_A_KEY = 2;

/** Tasks that wait for one key. */
const CROWD = 100_000;

/** Claims of the crowd. */
const ROUNDS = 50;

const TABLES = ["class_key", "concurrency_key", "task", "task_class"];

function strict(key: string, limit = 1): ConcurrencyKey[] {
  return [{ key, limit, strict: { priority: 0 } }];
}

describe("store: strict orders of concurrency keys", () => {
  let fixture: StoreFixture;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("holder", { schedulerId: "a" });
  });
  after(() => fixture.close());

  async function submit(store: Store, concurrency: ConcurrencyKey[], count = 1): Promise<number[]> {
    const wanted = { queue: "default", type: "ordered", requirements: NO_REQUIREMENTS, concurrency };
    const [made] = await store.resolveClasses([wanted]);
    const task = { task: newTask(wanted), classId: made?.id ?? 0, assignTo: undefined };
    return (await store.insertTasks(Array.from({ length: count }, () => task))).map(({ id }) => id);
  }

  const claim = (taskIds: readonly number[], store = fixture.store) =>
    store.claimKeyed(
      taskIds.map((taskId) => ({ taskId, sessionId })),
      "a",
      true,
    );

  /** A connection for a transaction of several statements. */
  async function openClient(): Promise<pg.Client> {
    const client = new pg.Client({
      connectionString: fixture.db.url,
      options: "-c search_path=muster,public",
    });
    await client.connect();
    return client;
  }

  /** Resolves when so many statements wait for a lock. */
  const blocked = (count: number) =>
    until("the statement waits for the lock", async () => {
      const [row] = await fixture.db.query<{ n: number }>(
        `select count(*)::int as n from pg_stat_activity
          where datname = current_database() and wait_event_type = 'Lock'`,
      );
      return (row?.n ?? 0) >= count || undefined;
    });

  it("turns a task back whose older one is put back while the claim waits for the key", async () => {
    const [older = 0, newer = 0] = await submit(fixture.store, strict("raced"), 2);
    const [attempt] = (await claim([older])).claimed;
    assert.ok(attempt);
    const holder = await openClient();
    try {
      await holder.query("begin");
      await holder.query("select from task where id = $1 for update", [older]);
      await holder.query("select from concurrency_key where key = 'raced' for no key update");
      const claiming = claim([newer]);
      await blocked(1);
      await holder.query("update task set state = 0, session_id = null where id = $1", [older]);
      await holder.query("update concurrency_key set held = 0 where key = 'raced'");
      await holder.query("commit");
      const { claimed, turnedBack, orders } = await claiming;
      assert.deepEqual([claimed, turnedBack], [[], [newer]]);
      assert.equal(orders?.[0]?.first?.id, older);
    } finally {
      await holder.end();
    }
  });

  it("commits the ids of a key in their order, whichever scheduler submits", async () => {
    const holder = await openClient();
    try {
      // A submit that has its ids and is not committed.
      await holder.query("begin");
      await holder.query(
        "select pg_advisory_xact_lock(hashtext('muster strict order'), hashtext('submits') & 1023)",
      );
      const submitting = submit(fixture.another(), strict("submits"));
      await blocked(1);
      const { rows } = await holder.query<{ id: string }>(
        "select nextval(pg_get_serial_sequence('muster.task', 'id')) as id",
      );
      await holder.query("commit");
      const [id = 0] = await submitting;
      assert.ok(id > Number(rows[0]?.id), `t-${id} was committed later than t-${rows[0]?.id}`);
    } finally {
      await holder.end();
    }
  });

  it("starts tasks in their order while two schedulers claim, put back and end them", async () => {
    const keys = ["one", "two", "three"];
    const ids = (await Promise.all(keys.map((key) => submit(fixture.store, strict(key), 20)))).flat();
    const stores = [fixture.store, fixture.another()];
    const left = new Set(ids);
    let putBack = 0;
    const work = async (store: Store, turn: number) => {
      for (let round = turn; left.size > 0; round++) {
        const { claimed } = await claim([...left].slice(0, 30).reverse(), store);
        for (const attempt of claimed) {
          const isPutBack = (attempt.taskId + round) % 3 === 0;
          const outcome = isPutBack ? ({ kind: "released", reason: "drain" } as const) : SUCCEEDED;
          if (isPutBack) putBack++;
          else left.delete(attempt.taskId);
          await store.commitResults([commitRequest(attempt, outcome)]);
        }
      }
    };
    await Promise.all(stores.map(work));
    assert.ok(putBack > 0);
    const rows = await fixture.db.query<{ key: string; ids: number[] }>(
      // Whoever claims a task holds the lock of its key: the ids of the events are in the order of the claims.
      `select ck.key, array_agg(f.id::int order by e.id) as ids
         from event e cross join lateral unnest(e.task_ids) as a(id)
         join task_finished f on f.id = a.id join class_key ck using (class_id)
        where e.name = 'assigned' and ck.key = any($1) group by ck.key`,
      [keys],
    );
    assert.equal(rows.length, keys.length);
    for (const row of rows)
      assert.deepEqual(
        row.ids,
        row.ids.toSorted((a, b) => a - b),
        row.key,
      );
  });

  it("finds what goes first of 10,000 keys, and of 100,000 tasks of one key, without reading the others", async () => {
    for (const table of TABLES) await fixture.db.query(`alter table ${table} set (autovacuum_enabled = off)`);
    await fixture.db.query(
      `insert into concurrency_key (key) select 'key-' || n from generate_series(1, $1::int) n`,
      [KEYS],
    );
    await fixture.db.query(
      `with made as (
         insert into task_class (key, queue, type, concurrency)
         select decode(md5(n::text), 'hex'), 'default', 'made', jsonb_build_array(jsonb_build_object(
                  'key', 'key-' || n, 'limit', 1, 'strict', jsonb_build_object('priority', 0)))
           from generate_series(1, $1::int) n
         returning id, concurrency)
       insert into class_key (class_id, key, max_held, strict) select id, concurrency -> 0 ->> 'key', 1, true from made`,
      [KEYS],
    );
    const made = await fixture.db.query<{ id: number }>(
      `insert into task (class_id, priority, state, payload)
       select class_id, 0, 0, '' from generate_series(1, $1::int) turn, class_key where key like 'key-%' order by turn, class_id
       returning id::int`,
      [OF_A_KEY],
    );
    const firsts = made
      .map(({ id }) => id)
      .sort((a, b) => a - b)
      .slice(0, KEYS);
    const [crowded = 0] = await submit(fixture.store, strict("crowd"));
    await fixture.db.query(
      `insert into task (class_id, priority, state, payload)
       select class_id, 0, 0, '' from generate_series(1, $1::int), class_key where key = 'crowd'`,
      [CROWD],
    );
    await fixture.closeStores();
    await fixture.db.query("select pg_stat_reset()");
    const store = fixture.another();
    for (let start = 0; start < KEYS; start += 1_000) {
      const part = firsts.slice(start, start + 1_000);
      const { claimed, orders } = await claim(part, store);
      assert.equal(claimed.length, part.length);
      assert.ok(orders?.every(({ first }) => first !== undefined && !part.includes(first.id)));
      await store.commitResults(claimed.map((attempt) => commitRequest(attempt, SUCCEEDED)));
    }
    let id = crowded;
    for (let round = 0; round < ROUNDS; round++) {
      const { claimed, turnedBack, orders } = await claim([id + 5, id], store);
      assert.deepEqual([claimed.map(({ taskId }) => taskId), turnedBack], [[id], [id + 5]]);
      await store.commitResults(claimed.map((attempt) => commitRequest(attempt, SUCCEEDED)));
      id = orders?.[0]?.first?.id ?? 0;
    }
    const names = Array.from({ length: KEYS }, (_, index) => `key-${index + 1}`);
    const orders = await store.keyOrders(names);
    assert.equal(orders.filter(({ first }) => first?.ready).length, KEYS);
    await fixture.closeStores();
    const stats = await until("the counters are complete", async () => {
      const rows = await fixture.db.query<{ relname: string; seq: number; indexed: number; deleted: number }>(
        `select relname, seq_tup_read::int as seq, idx_tup_fetch::int as indexed, n_tup_del::int as deleted
           from pg_stat_user_tables where schemaname = 'muster' and relname = any($1)`,
        [TABLES],
      );
      const task = rows.find(({ relname }) => relname === "task");
      return (task?.deleted ?? 0) >= KEYS + ROUNDS ? rows : undefined;
    });
    for (const { relname, seq } of stats) assert.equal(seq, 0, `${relname}: rows read by sequential scans`);
    // A claim and an end read a few rows of each table for a task, and what goes first is two rows of a class.
    for (const { relname, indexed } of stats)
      assert.ok(indexed < 20 * (KEYS + ROUNDS), `${relname}: ${indexed} rows read by indexes`);
  });
});
