import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { circuitLock, DEFAULT_CIRCUIT_RULE } from "../../scheduler/src/domain/tasks/limits/circuit.ts";
import { until } from "../support/waits.ts";
import {
  commitRequest,
  decideLost,
  NO_REQUIREMENTS,
  newTask,
  openFixture,
  type StoreFixture,
  SUCCEEDED,
} from "./fixture.ts";

/** Tasks that wait beside those of the batches. */
const DEEP = 20_000;
const BATCH = 100;

const RULE = { ...DEFAULT_CIRCUIT_RULE, key: "service" };

const TABLES = ["circuit_share", "class_key", "concurrency_key", "task"];

/**
 * Batches that end or insert tasks in a transaction look up what they name, as the statements of the hot path do, whatever
 * the statistics are: those of a time without active tasks make a scan of the whole table look cheap.
 */
describe("store: plans of transactions with batches", () => {
  let fixture: StoreFixture;
  let classId: number;

  before(async () => {
    fixture = await openFixture();
    for (const table of TABLES) await fixture.db.query(`alter table ${table} set (autovacuum_enabled = off)`);
    await fixture.db.query(
      "insert into task (class_id, priority, state, payload) select $1, 0, 0, '' from generate_series(1, $2::int)",
      [await fixture.classOf("deep"), DEEP],
    );
    const [made] = await fixture.store.resolveClasses([
      {
        ...{ queue: "default", type: "made", requirements: NO_REQUIREMENTS },
        ...{ concurrency: [circuitLock(RULE.key)], circuit: RULE },
      },
    ]);
    classId = made?.id ?? 0;
    for (const table of TABLES) await fixture.db.query(`analyze ${table}`);
    await fixture.closeStores();
    await fixture.db.query("select pg_stat_reset()");
  });
  after(() => fixture.close());

  it("scans no table", async () => {
    const store = fixture.another();
    const sessionId = await fixture.session("holder", { schedulerId: "a", store });
    const inserted = await store.insertTasks(
      Array.from({ length: 2 * BATCH }, (_, index) => ({
        ...{ classId, assignTo: undefined },
        task: newTask({ type: "made", uniqueKey: `key-${index}`, options: { unique: { while: "queued" } } }),
      })),
    );
    const wanted = inserted.map(({ id }) => ({ taskId: id, sessionId }));
    const { claimed } = await store.claimKeyed(wanted, "a");
    assert.equal(claimed.length, 2 * BATCH);
    const ended = await store.commitResults(
      claimed.slice(0, BATCH).map((attempt) => ({
        ...commitRequest(attempt, SUCCEEDED),
        circuit: { rule: RULE, outcome: "succeeded" },
      })),
    );
    assert.ok(ended.every(({ applied }) => applied));
    const [gone] = await store.endSessions([{ sessionId, reason: "lost", fatal: undefined }], decideLost);
    assert.equal(gone?.endedAttempts.length, BATCH);
    await fixture.closeStores();
    const stats = await until("the counters are complete", async () => {
      const rows = await fixture.db.query<{ relname: string; read: number; deleted: number }>(
        `select relname, seq_tup_read::int as read, n_tup_del::int as deleted
           from pg_stat_user_tables where schemaname = 'muster' and relname = any($1) order by relname`,
        [TABLES],
      );
      const task = rows.find(({ relname }) => relname === "task");
      return (task?.deleted ?? 0) >= BATCH ? rows : undefined;
    });
    assert.deepEqual(
      stats.map(({ relname, read }) => [relname, read]),
      TABLES.map((table) => [table, 0]),
    );
  });
});
