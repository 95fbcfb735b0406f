/** Cases that every implementation of the role that writes reports and results of attempts passes. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { OutOfMemoryChange } from "../../../domain/tasks/outcome/retry.ts";
import type { AttemptTouch } from "../../store.ts";
import { commitRequest, failed, SUCCEEDED } from "../made-rows.ts";
import { assigned, makeClass } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const RELEASED = { kind: "released", reason: "drain" } as const;

const NOTHING_NEW: Omit<AttemptTouch, "key"> = {
  acceptAgeMs: undefined,
  startAgeMs: undefined,
  phase: undefined,
  phaseAgeMs: undefined,
  progress: undefined,
};

export function testAttempts(opened: () => StoreUnderTest): void {
  it("ends attempts of all kinds in one batch, and answers in the order of the input", async () => {
    const test = opened();
    const [a, b, c, d] = await assigned(test, "kinds", 4);
    assert.ok(a && b && c && d);
    const results = await test.attempts.commitResults([
      commitRequest(d, failed()),
      commitRequest(c, { kind: "cancelled", message: "" }),
      commitRequest(a, SUCCEEDED),
      commitRequest({ ...a, epoch: 2 }, SUCCEEDED),
      commitRequest(b, failed("non_retryable")),
    ]);
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [true, true, true, false, true],
    );
    const tasks = await Promise.all([a, b, c, d].map(({ taskId }) => test.task(taskId)));
    assert.deepEqual(
      tasks.map((task) => [task?.state, task?.detail, task?.failureCode, task?.priorOutcomes]),
      [
        ["succeeded", "succeeded", undefined, []],
        ["failed", "BROKE", "BROKE", []],
        ["cancelled", "cancelled", undefined, []],
        ["queued", undefined, "BROKE", ["requeued:retry"]],
      ],
    );
  });

  it("gives the last progress to the next attempt, also what was not written before the end", async () => {
    const test = opened();
    const [a, b, c] = await assigned(test, "earlier-progress", 3);
    assert.ok(a && b && c);
    const progress = { done: 3, total: 9, unit: "pages", message: "page 3" };
    await test.attempts.touch([
      { key: a, ...NOTHING_NEW, progress },
      { key: b, ...NOTHING_NEW, progress },
    ]);
    await test.attempts.commitResults([
      commitRequest(a, RELEASED),
      { ...commitRequest(b, RELEASED), progress: { ...progress, done: 4, ageMs: 10 } },
      { ...commitRequest(c, RELEASED), progress: null },
    ]);
    const sessionId = await test.openSession("next");
    const claimed = await test.claims.claim([a, b, c].map(({ taskId }) => ({ taskId, sessionId })));
    const earlier = new Map(claimed.map(({ taskId, options }) => [taskId, options?.earlierProgress]));
    assert.deepEqual(
      [a, b, c].map(({ taskId }) => [earlier.get(taskId)?.done, earlier.get(taskId)?.unit]),
      [
        [3, "pages"],
        [4, "pages"],
        [undefined, undefined],
      ],
    );
    assert.equal(
      (await test.task(a.taskId))?.progressMessage,
      undefined,
      "it is not that of the new attempt",
    );
  });

  it("keeps the count of iterations across attempts, which never falls and is fenced", async () => {
    const test = opened();
    const [first] = await assigned(test, "iterations", 1);
    assert.ok(first);
    const touch = (key: { taskId: number; epoch: number }, iterations: number) =>
      test.attempts.touch([{ key, ...NOTHING_NEW, iterations }]);
    await touch(first, 3);
    await touch(first, 2);
    await touch({ ...first, epoch: 2 }, 9);
    await test.attempts.commitResults([{ ...commitRequest(first, RELEASED), iterations: 5 }]);
    await touch(first, 7);
    const claim = { taskId: first.taskId, sessionId: await test.openSession("next") };
    const [second] = await test.claims.claim([claim]);
    assert.equal(second?.options?.iterations, 5);
    assert.equal(second?.attemptCount, first.attemptCount, "a count is no attempt");
  });

  it("changes nothing for a stale epoch, a future one, a queued or an ended task", async () => {
    const test = opened();
    const [moved, over, queued] = await assigned(test, "fenced", 3);
    assert.ok(moved && over && queued);
    await test.attempts.commitResults([
      commitRequest(moved, RELEASED),
      commitRequest(over, SUCCEEDED),
      commitRequest(queued, RELEASED),
    ]);
    const [current] = await test.claims.claim([
      { taskId: moved.taskId, sessionId: await test.openSession("a") },
    ]);
    assert.equal(current?.epoch, 2);
    const read = () => Promise.all([moved, over, queued].map(({ taskId }) => test.task(taskId)));
    const before = await read();
    const results = await test.attempts.commitResults([
      commitRequest(moved, SUCCEEDED),
      commitRequest({ ...current, epoch: 3 }, failed()),
      commitRequest(over, failed()),
      commitRequest(queued, SUCCEEDED),
    ]);
    assert.deepEqual(
      results.map(({ applied }) => applied),
      [false, false, false, false],
    );
    await test.attempts.touch([
      { ...NOTHING_NEW, key: moved, acceptAgeMs: 0, phase: "late" },
      { ...NOTHING_NEW, key: queued, acceptAgeMs: 0, phase: "late" },
    ]);
    assert.deepEqual(await read(), before);
  });

  it("applies one of two ends of an attempt that race", async () => {
    const test = opened();
    for (const attempt of await assigned(test, "ends-race", 5)) {
      const answers = await Promise.all([
        test.attempts.commitResults([commitRequest(attempt, SUCCEEDED)]),
        test.attempts.commitResults([commitRequest(attempt, RELEASED)]),
      ]);
      const [succeeded, released] = answers.map(([result]) => result?.applied);
      assert.notEqual(succeeded, released);
      const task = await test.task(attempt.taskId);
      assert.equal(task?.state, succeeded ? "succeeded" : "queued");
    }
  });

  it("keeps reports of a running attempt, and frees a requeued task of them", async () => {
    const test = opened();
    const [attempt] = await assigned(test, "reports", 1);
    assert.ok(attempt);
    const report = async (touch: Partial<AttemptTouch>) => {
      await test.attempts.touch([{ ...NOTHING_NEW, key: attempt, ...touch }]);
      const task = await test.task(attempt.taskId);
      return [task?.state, task?.phase, task?.progressMessage];
    };
    assert.deepEqual(await report({ phase: "early" }), ["assigned", "early", undefined]);
    const progress = { fraction: 0.5, message: "half" };
    assert.deepEqual(await report({ acceptAgeMs: 1, startAgeMs: 0, phase: "load", progress }), [
      "running",
      "load",
      "half",
    ]);
    assert.deepEqual(await report({}), ["running", "load", "half"]);
    assert.deepEqual(await report({ phase: "", progress: null }), ["running", undefined, undefined]);
    await report({ phase: "infer", progress });
    assert.deepEqual(await test.claims.assignedTo([attempt.sessionId]), [], "it has been accepted");
    await test.attempts.commitResults([commitRequest(attempt, RELEASED)]);
    const task = await test.task(attempt.taskId);
    assert.deepEqual(
      [task?.state, task?.sessionId, task?.phase, task?.progressMessage, task?.sleeps],
      ["queued", undefined, undefined, undefined, false],
    );
  });

  it("counts what costs an attempt, what does not, and deaths by memory apart", async () => {
    const test = opened();
    let [attempt] = await assigned(test, "costs", 1);
    const { taskId, sessionId } = attempt ?? assert.fail();
    const run = async (outcome: Parameters<typeof commitRequest>[1]) => {
      assert.ok(attempt);
      await test.attempts.commitResults([commitRequest(attempt, outcome)]);
      const task = await test.task(taskId);
      if (task?.sleeps) await test.passWait(taskId);
      await test.claims.wakeDue(1_000);
      [attempt] = await test.claims.claim([{ taskId, sessionId }]);
      return [task?.epoch, task?.attemptCount, task?.outOfMemoryCount, task?.sleeps];
    };
    assert.deepEqual(await run(RELEASED), [1, 0, 0, false]);
    assert.deepEqual(await run(failed("out_of_memory")), [2, 0, 1, false]);
    assert.deepEqual(await run(failed()), [3, 1, 1, true]);
    assert.deepEqual([attempt?.epoch, attempt?.attemptCount, attempt?.outOfMemoryCount], [4, 2, 1]);
    assert.deepEqual((await test.task(taskId))?.priorOutcomes, [
      "requeued:drain",
      "requeued:retry",
      "requeued:retry",
    ]);
  });

  it("counts assignments that were not accepted, and moves a task to the class that its end names", async () => {
    const test = opened();
    const [attempt] = await assigned(test, "unaccepted", 1);
    assert.ok(attempt);
    const otherId = await makeClass(test, "unaccepted-alone");
    const request = commitRequest(attempt, { kind: "unaccepted" });
    await test.attempts.commitResults([{ ...request, aloneClassId: otherId }]);
    const [again] = await test.claims.claim([{ taskId: attempt.taskId, sessionId: attempt.sessionId }]);
    assert.deepEqual(
      [again?.classId, again?.requeueCounts, again?.attemptCount],
      [otherId, { unaccepted: 1 }, 1],
    );
  });

  it("moves a task whose requirements change to their class, and leaves it there", async () => {
    const test = opened();
    const [attempt, plain] = await assigned(test, "labelled", 2);
    assert.ok(attempt && plain);
    const memory = (row: typeof attempt, change: OutOfMemoryChange) => {
      const request = commitRequest(row, failed("out_of_memory"));
      assert.ok(request.decision.kind === "requeue");
      return { ...request, decision: { ...request.decision, change } };
    };
    const results = await test.attempts.commitResults([
      memory(attempt, { labels: { memory: "large" } }),
      commitRequest(plain, RELEASED),
    ]);
    assert.deepEqual(results, [{ applied: true }, { applied: true }]);
    const claim = async (row: typeof attempt) => {
      const [again] = await test.claims.claim([{ taskId: row.taskId, sessionId: row.sessionId }]);
      return again ?? assert.fail("it was not claimed");
    };
    const moved = await claim(attempt);
    assert.deepEqual([(await claim(plain)).classId, moved.outOfMemoryCount], [plain.classId, 1]);
    const [made] = await test.classes.classesById([moved.classId]);
    assert.deepEqual([made?.type, made?.requirements.labels], ["labelled", { memory: "large" }]);
    await test.attempts.commitResults([
      memory({ ...moved, outOfMemoryCount: 0 }, { labels: { memory: "large" } }),
    ]);
    assert.equal((await claim(moved)).classId, moved.classId);
  });

  it("raises the cost of a task with each death by memory, up to the limit that is given", async () => {
    const test = opened();
    const [attempt] = await assigned(test, "raised", 1);
    assert.ok(attempt);
    const cost = [
      { name: "memory_mb", addition: 300, most: 500 },
      { name: "slots", factor: 2 },
    ];
    const costs: unknown[] = [];
    let row: typeof attempt = attempt;
    for (let death = 0; death < 3; death++) {
      const request = commitRequest({ ...row, outOfMemoryCount: 0 }, failed("out_of_memory"));
      assert.ok(request.decision.kind === "requeue");
      await test.attempts.commitResults([
        { ...request, decision: { ...request.decision, change: { cost } } },
      ]);
      const [again] = await test.claims.claim([{ taskId: row.taskId, sessionId: row.sessionId }]);
      row = again ?? assert.fail("it was not claimed");
      const [made] = await test.classes.classesById([row.classId]);
      costs.push(made?.requirements.cost?.map(({ name, amount }) => `${amount} ${name}`));
    }
    assert.deepEqual(costs, [
      ["300 memory_mb", "2 slots"],
      ["500 memory_mb", "4 slots"],
      ["500 memory_mb", "8 slots"],
    ]);
  });

  it("returns a requeued attempt to its session until the task is assigned again", async () => {
    const test = opened();
    const [kept, moved] = await assigned(test, "retake", 2);
    assert.ok(kept && moved);
    await test.attempts.commitResults([
      commitRequest(kept, { kind: "unaccepted" }),
      commitRequest(moved, { kind: "unaccepted" }),
    ]);
    const other = await test.openSession("a");
    await test.claims.claim([{ taskId: moved.taskId, sessionId: other }]);
    assert.equal(await test.attempts.retake(kept, kept.sessionId, "another scheduler"), false);
    assert.equal(await test.attempts.retake(kept, kept.sessionId), true);
    assert.equal(await test.attempts.retake(kept, kept.sessionId), true, "a second time changes nothing");
    assert.equal(await test.attempts.retake(kept, other), false);
    assert.equal(await test.attempts.retake(moved, moved.sessionId), false);
    const task = await test.task(kept.taskId);
    assert.deepEqual(
      [task?.state, task?.sessionId, task?.epoch, task?.attemptCount, task?.priorOutcomes],
      ["running", kept.sessionId, 1, 1, []],
    );
    assert.deepEqual(await test.attempts.commitResults([commitRequest(kept, SUCCEEDED)]), [
      { applied: true },
    ]);
  });

  it("finds the attempts whose own result is committed, and not those that the scheduler ended", async () => {
    const test = opened();
    const [succeeded, broke, retried, released, open] = await assigned(test, "committed", 5);
    assert.ok(succeeded && broke && retried && released && open);
    await test.attempts.commitResults([
      commitRequest(succeeded, SUCCEEDED),
      commitRequest(broke, failed("non_retryable")),
      commitRequest(retried, failed()),
      commitRequest(released, RELEASED),
    ]);
    const keys = [succeeded, broke, retried, released, open].map(({ taskId, epoch }) => ({ taskId, epoch }));
    const committed = await test.attempts.committedResults([...keys, { ...succeeded, epoch: 2 }]);
    assert.deepEqual(
      committed.map(({ taskId }) => taskId).sort((a, b) => a - b),
      [succeeded, broke, retried].map(({ taskId }) => taskId),
    );
  });
}
