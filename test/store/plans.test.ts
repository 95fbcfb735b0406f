import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { until } from "../support/waits.ts";
import { BEAT, commitRequest, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

const TASKS = 3_000;
const BATCH = 100;

/** Tasks of one class that wait while another one has five. */
const DEEP = 20_000;

/**
 * The hot path must look tasks up by primary key and update them in place, whatever the planner believes of
 * a table on which no statistics were ever taken.
 */
describe("store: statement plans", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
    const { store, db } = fixture;
    await db.query("alter table task set (autovacuum_enabled = off)");
    const classId = await fixture.classOf("hot");
    const sessionId = await fixture.session("hot");
    const ids = await fixture.submit("hot", TASKS, { payload: Buffer.alloc(200, "x") });
    for (let start = 0; start < TASKS; start += BATCH) {
      await store.waitingTasks([classId], BATCH);
      const waiting = await store.countWaiting([classId], 10_000);
      assert.equal(waiting.get(classId), TASKS - start);
      const batch = ids.slice(start, start + BATCH);
      const claimed = await store.claim(batch.map((taskId) => ({ taskId, sessionId })));
      await store.touch(
        claimed.map(({ taskId, epoch }) => ({
          key: { taskId, epoch },
          acceptAgeMs: 1,
          startAgeMs: 1,
          phase: "inference",
          phaseAgeMs: 1,
          progress: { fraction: 0.5, message: "half" },
        })),
      );
      await store.commitResults(claimed.map((attempt) => commitRequest(attempt, SUCCEEDED)));
    }
    for (let beat = 0; beat < 50; beat++) await store.renewLeases([{ sessionId, beat: BEAT }], "a", 60_000);
    await fixture.closeStores();
  });
  after(() => fixture.close());

  it("never scans the open table, and updates it in place", async () => {
    const stats = await tableStats(fixture, "task", (now) => Number(now.n_tup_del) >= TASKS);
    assert.equal(Number(stats.n_tup_upd), 2 * TASKS, "claim and touch, nothing else");
    // Scans that built the indexes of the empty table count, but read nothing.
    assert.equal(Number(stats.seq_tup_read), 0, "no row was read by a sequential scan");
    // An index that holds a changed column would leave none. How many of the second updates of a row find
    // room beside it depends on what other transactions on the server still may see.
    const hot = Number(stats.n_tup_hot_upd);
    assert.ok(hot >= TASKS, `${hot} of ${2 * TASKS} updates were in place (HOT)`);
  });

  it("renews leases in place", async () => {
    const stats = await tableStats(fixture, "session_lease", (now) => Number(now.n_tup_upd) >= 50);
    assert.ok(Number(stats.n_tup_hot_upd) >= 40, `${stats.n_tup_hot_upd} of ${stats.n_tup_upd} in place`);
  });
});

interface TableStats {
  readonly seq_tup_read: string;
  readonly n_tup_ins: string;
  readonly n_tup_upd: string;
  readonly n_tup_del: string;
  readonly n_tup_hot_upd: string;
  /** Rows that index scans came by, whatever was made of them. */
  readonly idx_tup_fetch: string;
}

describe("store: plans beside a deep queue", () => {
  it("looks a class with few tasks up in its own index, from its front and from where it left off", async () => {
    const fixture = await openFixture();
    try {
      const { store, db } = fixture;
      const [deep, few] = [await fixture.classOf("deep"), await fixture.classOf("few")];
      await db.query(
        "insert into muster.task (class_id, priority, state, payload) select $1, 0, 0, '' from generate_series(1, $2::int)",
        [deep, DEEP],
      );
      const ids = await fixture.submit("few", 5);
      await db.query("analyze muster.task");
      const [first] = await store.waitingTasks([few], 100);
      assert.equal(first?.id, ids[0]);
      assert.equal((await store.waitingTasks([few], 100, [first])).length, 5);
      assert.equal((await store.waitingTasks([few], 100, [{ priority: 7, id: 1 }])).length, 5);
      assert.equal((await store.waitingTasks([deep], 100)).length, 100);
      await fixture.closeStores();
      const reads = await tableStats(fixture, "task", (now) => Number(now.idx_tup_fetch) >= 100);
      assert.ok(Number(reads.idx_tup_fetch) < 1_000, `${reads.idx_tup_fetch} rows were read`);
    } finally {
      await fixture.close();
    }
  });
});

/** Statistics of a table once they show what was done; connections report them when they end. */
async function tableStats(
  { db }: StoreFixture,
  table: string,
  complete: (stats: TableStats) => boolean,
): Promise<TableStats> {
  return until(`the statistics of ${table}`, async () => {
    const [stats] = await db.query<TableStats>(
      "select seq_tup_read, n_tup_ins, n_tup_upd, n_tup_del, n_tup_hot_upd, idx_tup_fetch from pg_stat_user_tables where relname = $1",
      [table],
    );
    return stats && complete(stats) ? stats : undefined;
  });
}
