import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { AttemptMetrics } from "../../scheduler/src/domain/tasks/task.ts";
import type { ClaimedAttempt } from "../../scheduler/src/store/store.ts";
import { commitRequest, failed, openFixture, type StoreFixture, SUCCEEDED } from "./fixture.ts";

describe("store: commit results", () => {
  let fixture: StoreFixture;

  before(async () => {
    fixture = await openFixture();
  });
  after(() => fixture.close());

  it("ends tasks in the order of the input and archives what they were", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("finisher");
    const [a, b, c] = await fixture.submit("ends", 3);
    const [first, second, third] = [
      await fixture.claimOne(a ?? 0, sessionId),
      await fixture.claimOne(b ?? 0, sessionId),
      await fixture.claimOne(c ?? 0, sessionId),
    ];
    const results = await store.commitResults([
      commitRequest(third, failed("non_retryable")),
      commitRequest(first, {
        ...SUCCEEDED,
        warnings: [{ step: "upload", code: "UPLOAD_FAILED", message: "not stored" }],
      }),
      commitRequest(second, { kind: "cancelled", message: "" }),
    ]);
    assert.deepEqual(results, [{ applied: true }, { applied: true }, { applied: true }]);
    const done = await store.getTask(a ?? 0);
    assert.equal(done?.state, "succeeded");
    assert.equal(done?.detail, "succeeded_with_warnings");
    assert.equal(done?.workerId, "finisher");
    assert.equal(Buffer.from(done?.output ?? []).toString(), '"done"');
    assert.equal(done?.warnings[0]?.step, "upload");
    assert.ok(done?.assignTime && done.acceptTime && done.startTime && done.finishTime);
    assert.ok(done.assignTime <= done.acceptTime && done.startTime <= done.finishTime);
    assert.equal((await store.getTask(b ?? 0))?.state, "cancelled");
    const broken = await store.getTask(c ?? 0);
    assert.equal(broken?.state, "failed");
    assert.equal(broken?.failure?.code, "BROKE");
  });

  it("keeps what an attempt cost, with its phases and without, and nothing of one that told nothing", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    const tasks = await fixture.submit("costs", 4);
    const [phased, plain, silent, older] = await Promise.all(
      tasks.map((taskId) => fixture.claimOne(taskId, sessionId)),
    );
    assert.ok(phased && plain && silent && older);
    const metrics = {
      runMs: 1_234.5,
      phases: [{ phase: "load", durationMs: 1_000, failed: false }],
      peakRssBytes: 3 * 2 ** 40,
    };
    const ended = (key: ClaimedAttempt, found?: AttemptMetrics) => {
      const request = commitRequest(key, SUCCEEDED);
      return found ? { ...request, decision: { ...request.decision, metrics: found } } : request;
    };
    await store.commitResults([
      ended(phased, metrics),
      ended(plain, { ...metrics, phases: [] }),
      ended(silent),
      ended(older),
    ]);
    await db.query("update task_finished set metrics = $2 where id = $1", [older.taskId, metrics]);
    const read = await Promise.all(tasks.map(async (id) => (await store.getTask(id))?.metrics));
    assert.deepEqual(read, [metrics, { ...metrics, phases: [] }, undefined, metrics]);
  });

  it("changes nothing for a stale epoch, a future one, a queued or an ended task, in one batch with a good one", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    const [moved, queued, ended, good] = await fixture.submit("fenced", 4);
    const old = await fixture.claimOne(moved ?? 0, sessionId);
    await store.commitResults([commitRequest(old, { kind: "released", reason: "drain" })]);
    const current = await fixture.claimOne(moved ?? 0, sessionId);
    const over = await fixture.claimOne(ended ?? 0, sessionId);
    await store.commitResults([commitRequest(over, SUCCEEDED)]);
    const fine = await fixture.claimOne(good ?? 0, sessionId);
    const before = await rows();
    const results = await store.commitResults([
      commitRequest(old, SUCCEEDED),
      commitRequest({ ...current, epoch: current.epoch + 1 }, failed()),
      commitRequest({ ...current, taskId: queued ?? 0, epoch: 0 }, SUCCEEDED),
      commitRequest(over, failed()),
      commitRequest(fine, SUCCEEDED),
    ]);
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [false, false, false, false, true],
    );
    assert.deepEqual(await rows(), before, "the others are untouched");
    assert.equal((await store.getTask(good ?? 0))?.state, "succeeded");

    function rows() {
      return db.query(
        `select t::text from task t where id = any($1)
         union all select f::text from task_finished f where id = any($1)
         union all select a::text from task_attempt a where task_id = any($1) order by 1`,
        [[moved, queued, ended]],
      );
    }
  });

  it("applies one of two ends of the same attempt that race, and one of two in the same batch", async () => {
    const { store } = fixture;
    const other = fixture.another();
    const sessionId = await fixture.session();
    for (const taskId of await fixture.submit("ends-race", 20)) {
      const attempt = await fixture.claimOne(taskId, sessionId);
      const [a, b] = await Promise.all([
        store.commitResults([commitRequest(attempt, SUCCEEDED)]),
        other.commitResults([commitRequest(attempt, failed())]),
      ]);
      assert.equal([...a, ...b].filter(({ applied }) => applied).length, 1, `task ${taskId}`);
      const task = await store.getTask(taskId);
      const attempts = await store.getAttempts(taskId);
      assert.equal(task?.state === "succeeded" ? attempts.length : attempts.length - 1, 0);
    }
  });

  it("frees a requeued task of everything that its owner left", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session("first owner");
    const [taskId] = await fixture.submit("requeue");
    const attempt = await fixture.claimOne(taskId ?? 0, sessionId);
    await store.touch([
      {
        key: { taskId: taskId ?? 0, epoch: attempt.epoch },
        acceptAgeMs: 0,
        startAgeMs: 0,
        phase: "inference",
        phaseAgeMs: 0,
        progress: { fraction: 0.9, message: "nearly" },
      },
    ]);
    await store.commitResults([commitRequest(attempt, failed())]);
    const task = await store.getTask(taskId ?? 0);
    assert.equal(task?.state, "queued");
    assert.equal(task?.sessionId, undefined);
    assert.equal(task?.workerId, undefined);
    for (const field of [
      "assignTime",
      "acceptTime",
      "startTime",
      "phase",
      "phaseTime",
      "progress",
    ] as const) {
      assert.equal(task?.[field], undefined, field);
    }
    assert.ok(task?.runTime && task.runTime > task.createTime, "the default policy waits a minute");
    assert.equal(task?.attemptCount, 1);
    assert.equal(task?.failure?.code, "BROKE");
    const [kept] = await store.getAttempts(taskId ?? 0);
    assert.equal(kept?.outcome, "requeued:retry");
    assert.equal(kept?.workerId, "first owner");
    assert.equal(kept?.number, 1);
    assert.ok(kept?.assignTime && kept.acceptTime && kept.startTime && kept.endTime);
  });

  it("dates no report of an attempt after its end", async () => {
    const { store, db } = fixture;
    const sessionId = await fixture.session();
    for (const outcome of [SUCCEEDED, failed()]) {
      const [taskId = 0] = await fixture.submit("late-report");
      const attempt = await fixture.claimOne(taskId, sessionId);
      const later = "now() + interval '1 hour'";
      await db.query(`update task set accept_time = ${later}, start_time = ${later} where id = $1`, [taskId]);
      await store.commitResults([commitRequest(attempt, outcome)]);
      const task = await store.getTask(taskId);
      const [requeued] = await store.getAttempts(taskId);
      const { acceptTime, startTime } = requeued ?? task ?? {};
      const endTime = requeued ? requeued.endTime : task?.finishTime;
      assert.ok(acceptTime && startTime && endTime, outcome.kind);
      assert.ok(acceptTime <= endTime && startTime <= endTime, outcome.kind);
    }
  });

  it("keeps no acceptance and no start of an attempt that had none", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    for (const outcome of [failed("non_retryable"), failed()]) {
      const [taskId = 0] = await fixture.submit("never-accepted");
      const attempt = await fixture.claimOne(taskId, sessionId);
      const request = commitRequest(attempt, outcome);
      await store.commitResults([{ ...request, acceptAgeMs: undefined, startAgeMs: undefined }]);
      const [requeued] = await store.getAttempts(taskId);
      const task = await store.getTask(taskId);
      const kept = requeued ?? task;
      assert.ok(kept?.assignTime, task?.state);
      assert.deepEqual([kept.acceptTime, kept.startTime], [undefined, undefined], task?.state);
    }
  });

  it("commits a batch of hundreds of all kinds", async () => {
    const { store } = fixture;
    const sessionId = await fixture.session();
    const ids = await fixture.submit("many", 400);
    const claimed = await store.claim(ids.map((taskId) => ({ taskId, sessionId })));
    const outcomes = [
      SUCCEEDED,
      failed(),
      failed("non_retryable"),
      { kind: "released", reason: "x" },
    ] as const;
    const results = await store.commitResults(
      claimed.map((attempt, n) => commitRequest(attempt, outcomes[n % 4] ?? SUCCEEDED)),
    );
    assert.ok(results.every(({ applied }) => applied));
    for (const [n, attempt] of claimed.entries()) {
      if (n % 40 > 3) continue;
      const expected = ["succeeded", "queued", "failed", "queued"][n % 4];
      assert.equal((await store.getTask(attempt.taskId))?.state, expected);
    }
  });
});
