import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import type { PollFindings } from "../../scheduler/src/store/store.ts";
import { until } from "../support/waits.ts";
import { NO_REQUIREMENTS, openFixture, type StoreFixture } from "./fixture.ts";

const SELF = "scheduler-1";

describe("store: what a poll finds", () => {
  let fixture: StoreFixture;
  let nothing: PollFindings;

  before(async () => {
    fixture = await openFixture();
    await fixture.classOf("echo");
    nothing = await poll();
  });
  after(() => fixture.close());
  // Each test leaves the database as it found it.
  afterEach(async () => assert.deepEqual(await poll(), nothing));

  const poll = () => fixture.store.poll(SELF, 0);

  /** Names of the findings that differ from those of a scheduler without work and settings. */
  const found = async (): Promise<string[]> => {
    const now = await poll();
    return Object.keys(now).filter((name) => now[name as keyof PollFindings] !== nothing[name as never]);
  };

  it("nothing, while no operator has set anything and no task is due", async () => {
    const { classes, queues, workerPauses, ...flags } = nothing;
    assert.ok(Object.values(flags).every((flag) => flag === false));
    assert.deepEqual(await poll(), nothing);
    const [taskId = 0] = await fixture.submit("echo");
    assert.deepEqual(await found(), [], "a ready task is not the poll's matter");
    await fixture.db.query("delete from task where id = $1", [taskId]);
  });

  it("commands of this scheduler, not those of others", async () => {
    const command = { sessionId: 7, kind: "cancel", body: {} } as const;
    await fixture.store.sendCommand("scheduler-2", command);
    assert.deepEqual(await found(), []);
    await fixture.store.sendCommand(SELF, command);
    assert.deepEqual(await found(), ["commands"]);
    await fixture.store.takeCommands(SELF);
    await fixture.store.takeCommands("scheduler-2");
  });

  it("classes that were made, and those that are committed after a newer one", async () => {
    const make = (type: string) =>
      fixture.store.resolveClasses([{ queue: "default", type, requirements: NO_REQUIREMENTS }]);
    const [made] = await make("later");
    assert.deepEqual(await found(), ["classes"]);
    const beyond = (await fixture.store.poll(SELF, made?.id ?? 0)).classes;
    assert.equal(beyond, (await fixture.store.poll(SELF, 1_000_000)).classes, "no class is newer");
    const before = await poll();
    await fixture.db.query("delete from task_class where id = $1", [made?.id]);
    const [again] = await make("later");
    assert.notEqual(again?.id, made?.id);
    assert.notEqual((await poll()).classes, before.classes, "as many as before, but others");
    await fixture.db.query("delete from task_class where type = 'later'");
  });

  it("every change of a queue and of the weights of its fairness keys", async () => {
    const { store, db } = fixture;
    const fingerprints = new Set([nothing.queues]);
    const isNew = async (change: () => Promise<unknown>) => {
      await change();
      assert.deepEqual(await found(), ["queues"]);
      const { queues } = await poll();
      assert.ok(!fingerprints.has(queues), String(change));
      fingerprints.add(queues);
    };
    const settings = { clear: [], reason: "r", attributes: {} };
    await isNew(() => store.setQueuePaused("default", "repairs"));
    await isNew(() => store.setQueueWeight("default", 3, "r"));
    await isNew(() => store.setQueueWeight("default", 4, "r"));
    await isNew(() => store.configureQueue("default", { ...settings, set: { maxRetries: 1 } }));
    await isNew(() => store.configureQueue("default", { ...settings, set: { maxRetries: 2 } }));
    await isNew(() => store.setFairnessWeight("default", "customer", { weight: 2, reason: "r" }));
    await isNew(() => store.setFairnessWeight("default", "customer", { weight: 5, reason: "r" }));
    // By hand, without a notification.
    await isNew(() => db.query("update fairness_weight set weight = 6"));
    await isNew(() => db.query("update queue set pause_time = null, pause_reason = null"));
    await store.setFairnessWeight("default", "customer", undefined);
    await store.setQueueWeight("default", 1, "r");
    await store.configureQueue("default", { ...settings, set: {}, clear: ["maxRetries"] });
  });

  it("two weights that change places", async () => {
    const { store, db } = fixture;
    await store.setQueueWeight("a", 2, "r");
    await store.setQueueWeight("b", 3, "r");
    const { queues } = await poll();
    await db.query("update queue set weight = 5 - weight where name in ('a', 'b')");
    assert.notEqual((await poll()).queues, queues);
    await db.query("delete from queue where name in ('a', 'b')");
  });

  it("pauses of workers, and the reason of each", async () => {
    const { store } = fixture;
    await store.pauseWorker("w-1", "new driver");
    assert.deepEqual(await found(), ["workerPauses"]);
    const { workerPauses } = await poll();
    await store.pauseWorker("w-1", "another reason");
    assert.notEqual((await poll()).workerPauses, workerPauses);
    await store.resumeWorker("w-1", "done");
  });

  it("limits of queues and keys, rates, pauses of keys, and circuits", async () => {
    const { store, db } = fixture;
    await store.setQueueLimit("default", 10, "r");
    assert.deepEqual(await found(), ["queueLimits"]);
    await store.setQueueLimit("default", undefined, "r");

    await store.setKeyLimit("k", { limit: 1, reason: "r" });
    assert.deepEqual(await found(), ["keyLimits"]);
    await store.setKeyLimit("k", undefined);

    const rate = { limit: 1, periodMs: 1_000, burst: 1 };
    await store.setRateLimit("r", { rate, reason: "r" });
    assert.deepEqual(await found(), ["rates"]);
    await store.setRateLimit("r", undefined);
    await db.query(
      `insert into rate_key (key, pause_until, pause_reason, pause_time)
       values ('p', now() + interval '1 hour', 'r', now())`,
    );
    assert.deepEqual(await found(), ["rates"]);
    await db.query("update rate_key set pause_until = now() - interval '1 s' where key = 'p'");
    assert.deepEqual(await found(), [], "the pause is over");
    await db.query("delete from rate_key");

    await store.openCircuit("c", { reason: "r", forMs: 60_000 });
    assert.deepEqual(await found(), ["circuits", "keyLimits"]);
    await store.resetCircuit("c", "r");
  });

  it("tasks whose time has come or whose deadline has passed, ends of predecessors, and batches", async () => {
    const { db } = fixture;
    const [taskId = 0] = await fixture.submit("echo");
    const set = (columns: string) => db.query(`update task set ${columns} where id = $1`, [taskId]);
    await set("wake_time = now() + interval '1 hour', start_deadline = now() + interval '1 hour'");
    assert.deepEqual(await found(), []);
    await set("wake_time = 'infinity'");
    assert.deepEqual(await found(), []);
    await set("wake_time = now()");
    assert.deepEqual(await found(), ["dueTasks"]);
    await set("wake_time = null, start_deadline = now() - interval '1 s'");
    assert.deepEqual(await found(), ["dueTasks"]);
    await set("start_deadline = null");

    await db.query(
      `insert into dependency_end (predecessor_id, state, cause, last_id) values (${taskId}, 3, '{}', 0)`,
    );
    assert.deepEqual(await found(), ["dependencyEnds"]);
    await db.query("delete from dependency_end");

    await db.query("insert into batch (id, title, has_completion) values (1, 'b', false)");
    assert.deepEqual(await found(), []);
    await db.query("update batch set cancel_done_id = 0");
    assert.deepEqual(await found(), ["batchCancels"]);
    await db.query("delete from batch");
    await db.query("delete from task where id = $1", [taskId]);
  });

  it("by indexes, however many tasks there are and whatever the planner believes of them", async () => {
    const other = await openFixture();
    try {
      await other.db.query("alter table task set (autovacuum_enabled = off)");
      await other.submit("echo", 3_000);
      for (let time = 0; time < 10; time++) await other.store.poll(SELF, 0);
      await other.closeStores();
      // A connection reports its counts when it ends.
      const [task, key] = await until("the statistics", async () => {
        const tables = await other.db.query<{ seq_tup_read: string; idx_scan: string; n_tup_ins: string }>(
          `select seq_tup_read, idx_scan, n_tup_ins from pg_stat_user_tables
            where relname in ('task', 'concurrency_key') order by relname desc`,
        );
        return Number(tables[0]?.n_tup_ins) >= 3_000 && Number(tables[1]?.idx_scan) >= 10
          ? tables
          : undefined;
      });
      assert.deepEqual([Number(task?.seq_tup_read), Number(key?.seq_tup_read)], [0, 0]);
    } finally {
      await other.close();
    }
  });
});
