import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { BatchRefusedError } from "../../scheduler/src/domain/tasks/batch.ts";
import type { NewTask } from "../../scheduler/src/domain/tasks/task.ts";
import { assertDependencies } from "../support/database/dependencies.ts";
import { commitRequest, failed, newTask, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: batches", () => {
  let fixture: StoreFixture;
  let classId: number;
  let sessionId: number;

  before(async () => {
    fixture = await openFixture();
    classId = await fixture.classOf("member");
    sessionId = await fixture.session();
  });
  after(() => fixture.close());

  const inserted = (fields: Partial<NewTask> = {}) => ({
    task: newTask({ type: "member", ...fields }),
    classId,
    assignTo: undefined,
  });

  async function join(batchId: number, count: number, fields: Partial<NewTask> = {}): Promise<number[]> {
    const rows = await fixture.store.insertTasks(
      Array.from({ length: count }, () => inserted({ batchId, ...fields })),
    );
    return rows.map(({ id }) => id);
  }

  async function run(
    taskId: number,
    outcome: Parameters<typeof commitRequest>[1] = SUCCEEDED,
  ): Promise<void> {
    const attempt = await fixture.claimOne(taskId, sessionId);
    await fixture.store.commitResults([commitRequest(attempt, outcome)]);
  }

  async function release(): Promise<number[]> {
    const released: number[] = [];
    for (;;) {
      const step = await fixture.store.releaseDependents(100, 100);
      if (step.ends === 0) return released;
      released.push(...step.released.map(({ task }) => task.id));
    }
  }

  it("releases the completion task once, when it is closed and all members have ended", async () => {
    const batch = await fixture.store.createBatch("three pages", inserted());
    const members = await join(batch, 2);
    const [late = 0] = await join(batch, 1);
    for (const id of members) await run(id);
    await run(late, failed("non_retryable"));
    assert.deepEqual(await release(), [], "it is open");
    assert.equal((await fixture.store.getTask(batch))?.waitsForTasks, true);
    assert.equal(await fixture.store.closeBatch(batch), true);
    assert.deepEqual(await release(), [batch]);
    assert.equal(await fixture.store.closeBatch(batch), true);
    assert.deepEqual(await release(), []);
    const found = await fixture.store.getBatch(batch);
    assert.deepEqual(found?.counts, {
      ...{ queued: 0, assigned: 0, running: 0, succeeded: 2, failed: 1, cancelled: 0 },
    });
    await run(batch);
    await assertDependencies(fixture.db);
  });

  it("counts members in every state, and the holder of a unique key once", async () => {
    const batch = await fixture.store.createBatch("", undefined);
    const [ended = 0, held = 0, waits = 0] = await join(batch, 3);
    await join(batch, 2, { uniqueKey: "twice" });
    await run(ended);
    await fixture.claimOne(held, sessionId);
    assert.deepEqual((await fixture.store.getBatch(batch))?.counts, {
      ...{ queued: 2, assigned: 1, running: 0, succeeded: 1, failed: 0, cancelled: 0 },
    });
    await release();
    const first = await fixture.store.batchTasks(batch, 0, 2);
    assert.deepEqual(
      first.tasks.map(({ taskId, counted }) => [taskId, counted?.state]),
      [
        [ended, "succeeded"],
        [held, undefined],
      ],
    );
    const rest = await fixture.store.batchTasks(batch, first.lastPosition ?? 0, 10);
    assert.deepEqual([rest.tasks[0]?.taskId, rest.tasks.length, rest.lastPosition], [waits, 2, undefined]);
    assert.equal(await fixture.store.getTask(batch), undefined);
  });

  it("refuses tasks of a batch that is closed or does not exist, and inserts none of the submit", async () => {
    const batch = await fixture.store.createBatch("", undefined);
    await fixture.store.closeBatch(batch);
    for (const [batchId, why] of [
      [batch, "closed"],
      [999_999_999, "unknown"],
    ] as const)
      await assert.rejects(join(batchId, 2), (error: unknown) => {
        assert.ok(error instanceof BatchRefusedError);
        assert.deepEqual([error.batchId, error.why], [batchId, why]);
        return true;
      });
    assert.equal(await fixture.store.closeBatch(999_999_999), false);
    assert.equal(await fixture.store.getBatch(999_999_999), undefined);
  });

  it("hands out the members to cancel in steps that go on after a crash", async () => {
    const batch = await fixture.store.createBatch("", undefined);
    const members = await join(batch, 5);
    assert.equal(await fixture.store.requestBatchCancel(batch, "not wanted"), true);
    await assert.rejects(join(batch, 1), BatchRefusedError);
    const cancelled: number[] = [];
    for (;;) {
      const step = await fixture.store.nextBatchCancel(2);
      if (!step) break;
      assert.deepEqual([step.batchId, step.reason], [batch, "not wanted"]);
      // Again, as after a crash before the step was noted.
      assert.deepEqual(await fixture.store.nextBatchCancel(2), step);
      cancelled.push(...step.taskIds);
      for (const id of step.taskIds) await fixture.store.cancelTask(id, step.reason);
      await fixture.store.batchCancelled(batch, step.lastPosition);
    }
    assert.deepEqual(cancelled, members);
    assert.equal((await fixture.store.getBatch(batch))?.counts.cancelled, 5);
  });

  it("is exact while members are submitted, end, and the batch is closed at two schedulers", async () => {
    const other = fixture.another();
    const batch = await fixture.store.createBatch("", inserted());
    const stores = [fixture.store, other];
    let over = false;
    let released = 0;
    const steps = stores.map(async (store) => {
      for (;;) {
        const last = over;
        const step = await store.releaseDependents(5, 5);
        released += step.released.length;
        if (step.ends === 0 && last) return;
      }
    });
    await Promise.all(
      Array.from({ length: 4 }, async (_, lane) => {
        for (let n = 0; n < 8; n++) {
          const store = stores[lane % 2] ?? other;
          const rows = await store.insertTasks([inserted({ batchId: batch }), inserted({ batchId: batch })]);
          for (const { id } of rows) await run(id);
        }
      }),
    );
    await Promise.all(stores.map((store) => store.closeBatch(batch)));
    over = true;
    await Promise.all(steps);
    assert.equal(released, 1);
    assert.equal((await fixture.store.getBatch(batch))?.counts.succeeded, 64);
    await assertDependencies(fixture.db);
  });

  it("is kept as long as its members, and dropped then", async () => {
    const batch = await fixture.store.createBatch("", undefined);
    const [member = 0] = await join(batch, 1);
    await run(member);
    await fixture.store.closeBatch(batch);
    await release();
    const age = async (days: number) => {
      const past = `now() - interval '${days} days'`;
      await fixture.db.query(`update batch set create_time = ${past}, close_time = ${past} where id = $1`, [
        batch,
      ]);
      await fixture.db.query(`update task_dependency set end_time = ${past} where task_id = $1`, [batch]);
      await fixture.store.dropOld(30);
    };
    await age(29);
    assert.equal((await fixture.store.getBatch(batch))?.counts.succeeded, 1);
    await age(40);
    assert.equal(await fixture.store.getBatch(batch), undefined);
    const left = await fixture.db.query("select from task_dependency where task_id = $1", [batch]);
    assert.equal(left.length, 0);
  });

  it("lists batches page by page, newest first, with counts of those that have at most 10,000 members", async () => {
    const { db, store } = fixture;
    await db.query("delete from batch");
    const small = await store.createBatch("Book 7 é", inserted());
    const [member = 0] = await join(small, 3);
    await run(member, failed("non_retryable"));
    const large = await store.createBatch("book 8", undefined);
    await db.query(
      `insert into task_dependency (task_id, predecessor_id, success, end_state, end_time)
       select $1, 1000000000 + n, false, 3, now() from generate_series(1, 10001) n`,
      [large],
    );
    await store.closeBatch(large);
    const empty = await store.createBatch("", undefined);
    const list = async (filter: Partial<Parameters<typeof store.listBatches>[0]> = {}) =>
      store.listBatches({ open: false, title: undefined, beforeId: undefined, limit: 10, ...filter });
    const ids = async (filter: Parameters<typeof list>[0]) => (await list(filter)).map(({ id }) => id);
    const [first, second, third] = await list();
    assert.deepEqual([first?.id, second?.id, third?.id], [empty, large, small]);
    const none = { queued: 0, assigned: 0, running: 0, succeeded: 0, failed: 0, cancelled: 0 };
    assert.deepEqual([first?.counts, second?.counts], [none, undefined]);
    assert.deepEqual(third?.counts, { ...none, queued: 2, failed: 1 });
    assert.deepEqual(third, await store.getBatch(small));
    assert.deepEqual(await ids({ open: true }), [empty, small]);
    assert.deepEqual(await ids({ title: "BOOK" }), [large, small]);
    assert.deepEqual([await ids({ title: "7 É" }), await ids({ title: "%" })], [[small], []]);
    assert.deepEqual([await ids({ limit: 1 }), await ids({ beforeId: large })], [[empty], [small]]);
    await db.query("delete from task_dependency where predecessor_id > 1000000000");
  });
});
