import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { commitRequest, EVERY_TASK, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: tasks by hand", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("ends a queued task that is cancelled, asks for an active one, and leaves an ended one", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [queued, active, bystander] = await fixture.submit("cancel", 3);
    const attempt = await fixture.claimOne(active ?? 0, sessionId);
    assert.equal((await store.cancelTask(queued ?? 0, "why not"))?.outcome, "cancelled");
    const gone = await store.getTask(queued ?? 0);
    assert.equal(gone?.state, "cancelled");
    assert.equal(gone?.cancelReason, "why not");
    const asked = { outcome: "asked", attempt: { taskId: active, epoch: 1 }, sessionId };
    assert.deepEqual(await store.cancelTask(active ?? 0, "first"), asked);
    assert.deepEqual(await store.cancelTask(active ?? 0, "second"), asked);
    const marked = await store.getTask(active ?? 0);
    assert.equal(marked?.state, "assigned");
    assert.equal(marked?.cancelReason, "first");
    const ended = commitRequest({ ...attempt, cancelReason: "first" }, failed());
    assert.deepEqual(await store.commitResults([ended]), [{ applied: true }]);
    assert.equal((await store.getTask(active ?? 0))?.state, "cancelled");
    assert.deepEqual(await store.cancelTask(active ?? 0, "late"), { outcome: "ended" });
    assert.equal(await store.cancelTask(2 ** 40, "nothing there"), undefined);
    assert.equal((await store.getTask(bystander ?? 0))?.state, "queued");
  });

  it("lets a cancellation that overtakes a lost worker end the task", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [taskId] = await fixture.submit("cancel-lost");
    await fixture.claimOne(taskId ?? 0, sessionId);
    await store.cancelTask(taskId ?? 0, "stop");
    const [gone] = await store.endSessions(
      [{ sessionId, reason: "lost", fatal: undefined }],
      (row) => commitRequest(row, failed()).decision,
    );
    assert.equal(gone?.endedAttempts[0]?.decision.kind, "finish");
    assert.equal((await store.getTask(taskId ?? 0))?.state, "cancelled");
  });

  it("queues an ended task again with its history, and wakes a waiting one", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [taskId] = await fixture.submit("retry");
    const first = await fixture.claimOne(taskId ?? 0, sessionId);
    assert.deepEqual(await store.retryTask(taskId ?? 0), { outcome: "active" });
    await store.commitResults([commitRequest(first, failed())]);
    const woken = await store.retryTask(taskId ?? 0);
    assert.equal(woken?.outcome, "queued");
    assert.equal((await store.getTask(taskId ?? 0))?.runTime, undefined);
    assert.deepEqual(await store.retryTask(taskId ?? 0), { outcome: "active" }, "it waits for nothing now");
    const second = await fixture.claimOne(taskId ?? 0, sessionId);
    await store.commitResults([commitRequest(second, SUCCEEDED)]);
    assert.equal((await store.retryTask(taskId ?? 0))?.outcome, "queued");
    const again = await store.getTask(taskId ?? 0);
    assert.equal(again?.state, "queued");
    assert.equal(again?.epoch, 2);
    assert.equal(again?.attemptCount, 0, "it has all its retries again");
    assert.equal(again?.output, undefined);
    assert.deepEqual(
      (await store.getAttempts(taskId ?? 0)).map(({ epoch, outcome }) => [epoch, outcome]),
      [
        [1, "requeued:retry"],
        [2, "succeeded"],
      ],
    );
    assert.equal((await fixture.claimOne(taskId ?? 0, sessionId)).epoch, 3);
    assert.equal(await store.retryTask(2 ** 40), undefined);
  });

  it("records an attempt once when its task was cancelled between two tries and is retried", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const [taskId] = await fixture.submit("retry-cancelled");
    const attempt = await fixture.claimOne(taskId ?? 0, sessionId);
    await store.commitResults([commitRequest(attempt, failed())]);
    await store.cancelTask(taskId ?? 0, "between");
    await store.retryTask(taskId ?? 0);
    assert.deepEqual(
      (await store.getAttempts(taskId ?? 0)).map(({ epoch, outcome }) => [epoch, outcome]),
      [[1, "requeued:retry"]],
    );
  });

  it("lets one of ten concurrent retries of an ended task in", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    const [taskId] = await fixture.submit("retry-race");
    await store.commitResults([commitRequest(await fixture.claimOne(taskId ?? 0, sessionId), SUCCEEDED)]);
    const answers = await Promise.all(Array.from({ length: 10 }, () => store.retryTask(taskId ?? 0)));
    assert.equal(answers.filter((answer) => answer?.outcome === "queued").length, 1);
    assert.ok(
      answers.every((answer) => answer !== undefined),
      "it exists all the while",
    );
    assert.equal((await db.query("select 1 from task where id = $1", [taskId])).length, 1);
    assert.equal((await db.query("select 1 from task_finished where id = $1", [taskId])).length, 0);
  });

  it("lists by state, queue, type, detail and worker, newest first, page by page", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("lister");
    const ids = await fixture.submit("list", 25, { queue: "listed" });
    const claimed = await store.claim(ids.slice(0, 10).map((taskId) => ({ taskId, sessionId })));
    await store.commitResults(
      claimed.slice(0, 5).map((attempt) => commitRequest(attempt, failed("non_retryable"))),
    );
    const list = async (filter: Partial<Parameters<typeof store.listTasks>[0]>) =>
      (await store.listTasks({ ...EVERY_TASK, ...filter })).tasks.map(({ id }) => id);
    assert.deepEqual(await list({ queues: ["listed"] }), [...ids].reverse());
    assert.deepEqual(await list({ queues: ["listed"], types: ["other"] }), []);
    assert.equal((await list({ types: ["list"], states: ["queued"] })).length, 15);
    assert.equal((await list({ workerId: "lister" })).length, 10);
    assert.equal((await list({ details: ["BROKE"], queues: ["listed"] })).length, 5);
    const seen: number[] = [];
    for (let beforeId: number | undefined; ; ) {
      const page = await list({ queues: ["listed"], beforeId, limit: 7 });
      if (page.length === 0) break;
      seen.push(...page);
      beforeId = page.at(-1);
    }
    assert.deepEqual(seen, [...ids].reverse());
  });

  it("keeps incremental output in order, across attempts and pages", async () => {
    const { store } = fixture;
    const [taskId] = await fixture.submit("output");
    const chunk = (epoch: number, sequence: number) => ({
      taskId: taskId ?? 0,
      epoch,
      sequence,
      data: Buffer.from(`${epoch}.${sequence}`),
    });
    await store.appendOutput([chunk(1, 2), chunk(1, 1), chunk(2, 1)]);
    await store.appendOutput([chunk(1, 3), chunk(2, 2)]);
    const texts: string[] = [];
    for (let at = { epoch: 0, sequence: 0 }; ; ) {
      const page = await store.outputAfter(taskId ?? 0, at, 2, 1_000);
      if (page.length === 0) break;
      texts.push(...page.map(({ data }) => Buffer.from(data).toString()));
      at = page.at(-1) ?? at;
    }
    assert.deepEqual(texts, ["1.1", "1.2", "1.3", "2.1", "2.2"]);
    const front = { epoch: 0, sequence: 0 };
    assert.deepEqual(await store.outputAfter((taskId ?? 0) + 1_000, front, 10, 1_000), []);
    const within = async (bytes: number) => (await store.outputAfter(taskId ?? 0, front, 10, bytes)).length;
    assert.deepEqual(
      [await within(1), await within(6), await within(8), await within(100)],
      [1, 2, 2, 5],
      "by bytes",
    );
  });

  it("pauses and resumes queues, and counts what is in them", async () => {
    const { store } = fixture;
    const classId = await fixture.classOf("depth", "deep");
    const sessionId = await fixture.session();
    const [held] = await fixture.submit("depth", 4, { queue: "deep" });
    await fixture.submit("depth", 2, { queue: "deep", delayMs: 60_000 });
    await fixture.claimOne(held ?? 0, sessionId);
    const depth = (await store.depths()).find((row) => row.classId === classId);
    assert.deepEqual([depth?.ready, depth?.scheduled, depth?.active], [3, 2, 1]);
    assert.ok((depth?.oldestReadyAgeMs ?? -1) >= 0);
    const paused = await store.setQueuePaused("deep", "maintenance");
    assert.equal(paused.pauseReason, "maintenance");
    const longer = await store.setQueuePaused("deep", "still");
    assert.deepEqual(longer.pauseTime, paused.pauseTime, "the first pause counts");
    assert.equal((await store.setQueuePaused("deep", undefined)).pauseTime, undefined);
    assert.ok((await store.listQueues()).some(({ name }) => name === "deep"));
  });
});
