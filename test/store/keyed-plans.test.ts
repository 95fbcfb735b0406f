import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
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

const KEYS = 10_000;

/** Tasks that wait for one key. */
const CROWD = 100_000;

/** Keys of a batch, and batches. */
const BATCH = 20;
const ROUNDS = 10;

const TABLES = ["class_key", "concurrency_key", "task", "task_class"];

/**
 * The statements for tasks with concurrency keys look up what they name, however many keys there are and however many tasks
 * wait for one of them, with statistics of the tables and without.
 */
describe("store: plans of keyed statements", () => {
  let fixture: StoreFixture;
  let sessionId: number;
  const keysOf = (key: string): ConcurrencyKey[] => [{ key, limit: 2 }];

  before(async () => {
    fixture = await openFixture();
    sessionId = await fixture.session("holder", { schedulerId: "a" });
    for (const table of TABLES) await fixture.db.query(`alter table ${table} set (autovacuum_enabled = off)`);
    await fixture.db.query(
      `insert into concurrency_key (key) select 'key-' || n from generate_series(1, $1::int) n`,
      [KEYS],
    );
    // No scheduler would make classes with these keys: they are never resolved.
    await fixture.db.query(
      `with made as (
         insert into task_class (key, queue, type, concurrency)
         select decode(md5(n::text), 'hex'), 'default', 'made', jsonb_build_array(jsonb_build_object('key', 'key-' || n, 'limit', 2))
           from generate_series(1, $1::int) n
         returning id, concurrency)
       insert into class_key (class_id, key, max_held) select id, concurrency -> 0 ->> 'key', 2 from made`,
      [KEYS],
    );
    const crowded = await classOf(fixture.store, "crowd");
    await fixture.db.query(
      "insert into task (class_id, priority, state, payload) select $1, 0, 0, '' from generate_series(1, $2::int)",
      [crowded, CROWD],
    );
    await fixture.closeStores();
  });
  after(() => fixture.close());

  async function classOf(store: Store, key: string): Promise<number> {
    const [made] = await store.resolveClasses([
      { queue: "default", type: "made", requirements: NO_REQUIREMENTS, concurrency: keysOf(key) },
    ]);
    assert.ok(made);
    return made.id;
  }

  async function insert(store: Store, key: string, concurrency = keysOf(key)): Promise<number> {
    const wanted = { queue: "default", type: "made", requirements: NO_REQUIREMENTS, concurrency };
    const [made] = await store.resolveClasses([wanted]);
    const [row] = await store.insertTasks([
      { task: newTask(wanted), classId: made?.id ?? 0, assignTo: undefined },
    ]);
    return row?.id ?? 0;
  }

  for (const analyzed of [false, true]) {
    it(`look up what they name, ${analyzed ? "with" : "without"} statistics`, async () => {
      if (analyzed) for (const table of TABLES) await fixture.db.query(`analyze ${table}`);
      await fixture.db.query("select pg_stat_reset()");
      const store = fixture.another();
      const crowded = await classOf(store, "crowd");
      for (let round = 0; round < ROUNDS; round++) {
        const waiting: number[] = [];
        for (let n = 0; n < BATCH; n++) waiting.push(await insert(store, `new-${analyzed}-${n}`));
        const front = await store.waitingTasks([crowded], BATCH);
        const wanted = [...front.map(({ id }) => id), ...waiting].map((taskId) => ({ taskId, sessionId }));
        const { claimed, turnedBack } = await store.claimKeyed(wanted, "a");
        assert.deepEqual([claimed.length, turnedBack.length], [BATCH + 2, BATCH - 2]);
        await store.keyStates(["crowd"]);
        const [lock] = await store.listLocks({ key: "crowd", blocked: true, limit: 1, maxHolders: 20 });
        assert.equal(lock?.held, 2);
        const ends = claimed.map((attempt) => commitRequest(attempt, SUCCEEDED));
        await store.commitResults(ends.slice(1));
        await store.commitResults([
          commitRequest(claimed[0] as never, { kind: "released", reason: "drain" }),
        ]);
      }
      const refused = [{ key: "crowd", limit: 5, onLimit: "cancel_newest" }] as const;
      await insert(store, "crowd", [...refused]);
      await fixture.closeStores();
      const stats = await readStats();
      for (const { relname, seq } of stats) assert.equal(seq, 0, `${relname}: rows read by sequential scans`);
      // `muster locks` counts up to 10,000 that wait, in each round.
      const fetched = Object.fromEntries(stats.map(({ relname, indexed }) => [relname, indexed]));
      const rows = ROUNDS * BATCH;
      assert.ok((fetched.concurrency_key ?? 0) < 20 * rows, JSON.stringify(fetched));
      assert.ok((fetched.class_key ?? 0) < 20 * rows, JSON.stringify(fetched));
      assert.ok((fetched.task ?? 0) < ROUNDS * 2 * 10_000 + 20 * rows, JSON.stringify(fetched));
    });
  }

  /** What was read of each table since the counters were reset, when the closed connections have reported it. */
  async function readStats() {
    return until("the counters are complete", async () => {
      const rows = await fixture.db.query<{ relname: string; seq: number; indexed: number; deleted: number }>(
        `select relname, seq_tup_read::int as seq, idx_tup_fetch::int as indexed, n_tup_del::int as deleted
           from pg_stat_user_tables where schemaname = 'muster' and relname = any($1)`,
        [TABLES],
      );
      const task = rows.find(({ relname }) => relname === "task");
      return (task?.deleted ?? 0) >= ROUNDS * (BATCH + 1) ? rows : undefined;
    });
  }
});
