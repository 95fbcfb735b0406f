import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { commitRequest, openFixture, type StoreFixture } from "./fixture.ts";

describe("store: queues with what is in them", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("counts by type, the fullest first, and keeps the types of an empty queue", async () => {
    const { store, submit, session, claimOne } = fixture;
    await submit("few", 1, { queue: "mixed" });
    const many = await submit("many", 3, { queue: "mixed" });
    await submit("later", 2, { queue: "mixed", delayMs: 3_600_000 });
    await claimOne(many[0] ?? 0, await session());
    await fixture.classOf("idle", "empty");
    const [empty, mixed] = await store.queueDepths({ limit: 10, maxTypes: 2 });
    assert.deepEqual(
      [empty?.name, empty?.typeCount, empty?.types],
      ["empty", 1, [{ type: "idle", ready: 0, scheduled: 0, active: 0 }]],
    );
    assert.deepEqual(
      [mixed?.ready, mixed?.scheduled, mixed?.active, mixed?.typeCount],
      [3, 2, 1, 3],
      "all types are counted",
    );
    assert.deepEqual(mixed?.types, [
      { type: "many", ready: 2, scheduled: 0, active: 1 },
      { type: "few", ready: 1, scheduled: 0, active: 0 },
    ]);
    assert.ok((mixed?.oldestReadyAgeMs ?? -1) >= 0);
  });

  it("ages a ready task from when it became ready: its time, a requeue or a retry", async () => {
    const { db, store, submit, session, claimOne } = fixture;
    const oldestMs = async () => {
      const [one] = await store.queueDepths({ name: "aged", limit: 1, maxTypes: 1 });
      const depth = (await store.depths()).find(({ classId: id }) => id === classId);
      assert.ok(one?.oldestReadyAgeMs !== undefined && depth?.oldestReadyAgeMs !== undefined);
      const task = await store.getTask(taskId);
      assert.ok(task);
      const ageMs = (await store.databaseTime()).getTime() - task.readyTime.getTime();
      for (const each of [depth.oldestReadyAgeMs, ageMs])
        assert.ok(Math.abs(each - one.oldestReadyAgeMs) < 60_000, `${each}, not ${one.oldestReadyAgeMs}`);
      return one.oldestReadyAgeMs;
    };
    const minutes = async (wanted: number, what: string) => {
      const found = (await oldestMs()) / 60_000;
      assert.ok(Math.abs(found - wanted) < 1, `${found} minutes ${what}, not ${wanted}`);
    };
    const classId = await fixture.classOf("aged", "aged");
    const [taskId = 0] = await submit("aged", 1, { queue: "aged", delayMs: 3_600_000 });
    const backdate = (column: string) =>
      db.query(`update task set ${column} = now() - interval '10 minutes' where id = $1`, [taskId]);
    await db.query("update task set create_time = now() - interval '2 hours' where id = $1", [taskId]);
    await backdate("wake_time");
    await store.wakeDue(10);
    await minutes(10, "since its time");
    const attempt = await claimOne(taskId, await session());
    await store.commitResults([commitRequest(attempt, { kind: "released", reason: "drain" })]);
    await minutes(0, "since it was released");
    await backdate("ready_time");
    await db.query("update task set wake_time = now() + interval '1 hour' where id = $1", [taskId]);
    await store.retryTask(taskId);
    await minutes(0, "since it was retried");
  });

  it("merges settings in the row, so that changes at the same time lose nothing", async () => {
    const { db, store } = fixture;
    const other = fixture.another();
    const change = { clear: [], reason: "for a test", attributes: {} };
    const backoff = { kind: "fixed", delaysMs: [1_000] } as const;
    await Promise.all([
      store.configureQueue("set", { ...change, set: { maxRetries: 5 } }),
      other.configureQueue("set", { ...change, set: { backoff } }),
    ]);
    assert.deepEqual((await store.queueSettings()).get("set"), { maxRetries: 5, backoff });
    await db.query(`update queue set settings = settings || '{"ofALaterVersion": 1}' where name = 'set'`);
    await store.configureQueue("set", { ...change, set: { maxRetries: 0 }, clear: ["backoff"] });
    assert.deepEqual((await store.getQueue("set"))?.settings, { maxRetries: 0, ofALaterVersion: 1 });
    assert.equal((await store.getQueue("set"))?.settingsSet?.reason, "for a test");
    await db.query(`update queue set settings = settings - 'ofALaterVersion' where name = 'set'`);
    await store.configureQueue("set", { ...change, set: {}, clear: ["maxRetries", "backoff"] });
    const row = await store.getQueue("set");
    assert.deepEqual([row?.settings, row?.settingsSet], [undefined, undefined]);
    await store.configureQueue("never", { ...change, set: {}, clear: ["backoff"] });
    assert.equal((await store.getQueue("never"))?.settings, undefined, "there was nothing to clear");
    assert.deepEqual([...(await store.queueSettings()).keys()], []);
    await db.query("delete from queue where name in ('set', 'never')");
  });

  it("goes by name, page by page, and finds one alone", async () => {
    const { store } = fixture;
    await store.setQueuePaused("zzz", "for a test");
    const first = await store.queueDepths({ limit: 1, maxTypes: 1 });
    const rest = await store.queueDepths({ afterName: first[0]?.name, limit: 10, maxTypes: 1 });
    assert.deepEqual(
      [...first, ...rest].map(({ name }) => name),
      ["aged", "empty", "mixed", "zzz"],
    );
    const [one] = await store.queueDepths({ name: "zzz", limit: 1, maxTypes: 1 });
    assert.deepEqual([one?.pauseReason, one?.typeCount, one?.types], ["for a test", 0, []]);
    assert.deepEqual(await store.pausedQueues(), ["zzz"]);
    assert.equal((await store.getQueue("zzz"))?.pauseReason, "for a test");
    assert.equal(await store.getQueue("nope"), undefined);
  });
});
