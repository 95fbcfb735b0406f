import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AttemptKey } from "../../scheduler/src/domain/ids.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: checkpoints", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  const put = (key: AttemptKey, sequence: number, text: string, contentType = "application/json") =>
    fixture.store.putCheckpoints([{ key, sequence, contentType, value: Buffer.from(text) }]);

  const claim = async (taskId: number) => fixture.claimOne(taskId, await fixture.session());

  /** A task that an attempt holds. */
  async function held(type: string) {
    const [taskId = 0] = await fixture.submit(type);
    return { taskId, first: await claim(taskId) };
  }

  async function rows(taskId: number): Promise<number> {
    const found = await fixture.db.query("select from task_checkpoint where task_id = $1", [taskId]);
    return found.length;
  }

  it("give the latest one to the next attempt, in whatever order they arrive", async () => {
    const { store } = fixture;
    const { taskId, first } = await held("order");
    assert.equal(first.checkpoint, undefined);
    assert.deepEqual(await put(first, 1, "1"), [taskId]);
    assert.deepEqual(await put(first, 3, "three", "text/plain"), [taskId]);
    assert.deepEqual(await put(first, 2, "2"), [taskId], "it is answered as stored: a later one is");
    await store.commitResults([commitRequest(first, failed())]);
    await store.retryTask(taskId);
    const second = await claim(taskId);
    assert.equal(second.checkpoint?.value.toString(), "three");
    assert.deepEqual([second.checkpoint?.epoch, second.checkpoint?.contentType], [1, "text/plain"]);
    assert.deepEqual(await put(second, 1, "4"), [taskId], "numbers begin again with every attempt");
    const summary = await store.checkpointOf(taskId);
    assert.deepEqual([summary?.epoch, summary?.valueBytes, summary?.contentType], [2, 1, "application/json"]);
  });

  it("refuse those of attempts that are not current, and store the others of the batch", async () => {
    const { store } = fixture;
    const { taskId, first } = await held("fenced");
    await put(first, 1, "mine");
    await store.commitResults([commitRequest(first, failed())]);
    assert.deepEqual(await put(first, 2, "late"), [], "the task waits");
    await store.retryTask(taskId);
    const second = await claim(taskId);
    const { first: other } = await held("fenced");
    const late = { key: first, sequence: 9, contentType: "application/json", value: Buffer.from("late") };
    assert.deepEqual(await store.putCheckpoints([late, { ...late, key: other }]), [other.taskId]);
    assert.equal(second.checkpoint?.value.toString(), "mine");
    assert.equal((await store.checkpointOf(taskId))?.epoch, 1);
    await store.commitResults([commitRequest(second, SUCCEEDED)]);
    assert.deepEqual(await put(second, 1, "late"), [], "the task has ended");
  });

  it("are in the claim after an end that waited for them, however close together both are", async () => {
    const { store } = fixture;
    const other = fixture.another();
    for (let round = 0; round < 20; round++) {
      const { taskId, first } = await held("race");
      const [stored] = await Promise.all([
        put(first, 1, "1"),
        other.commitResults([commitRequest(first, failed())]),
      ]);
      await store.retryTask(taskId);
      const { checkpoint } = await claim(taskId);
      assert.equal(checkpoint !== undefined, stored.length === 1, "what was answered as stored is there");
    }
  });

  it("stay for a retry by hand unless it is afresh, and after a success do not count", async () => {
    const { store } = fixture;
    const { taskId, first } = await held("by-hand");
    await put(first, 1, "1");
    await store.commitResults([commitRequest(first, failed("non_retryable"))]);
    await store.retryTask(taskId);
    const second = await claim(taskId);
    assert.equal(second.checkpoint?.value.toString(), "1");
    await store.commitResults([commitRequest(second, failed("non_retryable"))]);
    await store.retryTask(taskId, { afresh: true });
    const third = await claim(taskId);
    assert.equal(third.checkpoint, undefined);
    assert.deepEqual(await put(third, 1, "new"), [taskId]);
    await store.commitResults([commitRequest(third, failed())]);
    await store.retryTask(taskId, { afresh: true });
    const fourth = await claim(taskId);
    assert.equal(fourth.checkpoint, undefined, "a task that waits for a retry");
    await put(fourth, 1, "again");
    await store.commitResults([commitRequest(fourth, SUCCEEDED)]);
    await store.retryTask(taskId);
    assert.equal((await claim(taskId)).checkpoint, undefined);
  });

  it("go with their tasks: by retention, after a success and a retry afresh", async () => {
    const { store, db } = fixture;
    const ended = await held("gone");
    const succeeded = await held("gone");
    const afresh = await held("gone");
    const kept = await held("gone");
    for (const { first } of [ended, succeeded, afresh, kept]) await put(first, 1, "1");
    await store.commitResults([
      commitRequest(ended.first, failed("non_retryable")),
      commitRequest(succeeded.first, SUCCEEDED),
      commitRequest(afresh.first, failed("non_retryable")),
    ]);
    await store.retryTask(afresh.taskId, { afresh: true });
    await store.dropOld(7);
    const counts = () => Promise.all([ended, succeeded, afresh, kept].map(({ taskId }) => rows(taskId)));
    assert.deepEqual(await counts(), [1, 1, 1, 1], "they are young: an upsert may be under way");
    await db.query("update task_checkpoint set update_time = now() - interval '11 min'");
    await store.dropOld(7);
    assert.deepEqual(await counts(), [1, 0, 0, 1]);
    await db.query("delete from task_finished where id = $1", [ended.taskId]);
    await store.dropOld(7);
    assert.deepEqual(await counts(), [0, 0, 0, 1]);
  });

  it("cost tasks without them nothing: their table is not looked at", async () => {
    const own = await openFixture();
    const [taskId = 0] = await own.submit("plain");
    const first = await own.claimOne(taskId, await own.session());
    await own.store.commitResults([commitRequest(first, failed())]);
    await own.store.retryTask(taskId);
    const second = await own.claimOne(taskId, await own.session());
    await own.store.commitResults([commitRequest(second, SUCCEEDED)]);
    await own.store.getTask(taskId);
    await own.closeStores();
    const [looks] = await own.db.query<{ scans: number }>(
      "select (seq_scan + coalesce(idx_scan, 0))::int as scans from pg_stat_user_tables where relname = 'task_checkpoint'",
    );
    assert.equal(looks?.scans, 0);
    await own.close();
  });
});
