/** Cases that every implementation of the role that submits and claims passes. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { UniqueKeyHeldError } from "../../../domain/tasks/unique-keys/key-plan.ts";
import { commitRequest, failed, newTask, SUCCEEDED } from "../made-rows.ts";
import { makeClass, submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

export function testClaims(opened: () => StoreUnderTest): void {
  it("inserts in the order of the input, as queued", async () => {
    const test = opened();
    const classId = await makeClass(test, "order");
    const ids = await submitted(test, classId, [newTask(), newTask(), newTask()]);
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
    );
    assert.equal(new Set(ids).size, 3);
    const task = await test.task(ids[1] ?? 0);
    assert.deepEqual([task?.state, task?.epoch, task?.attemptCount], ["queued", 0, 0]);
  });

  it("inserts a task as assigned when the session lives with this scheduler, else as queued", async () => {
    const test = opened();
    const classId = await makeClass(test, "direct");
    const [own, others, gone] = [
      await test.openSession("a"),
      await test.openSession("b"),
      await test.openSession("a"),
    ];
    await test.endSession(gone);
    const inserted = await test.claims.insertTasks(
      [own, others, gone].map((assignTo) => ({ task: newTask(), classId, assignTo })),
      "a",
    );
    assert.deepEqual(
      inserted.map(({ assigned }) => assigned),
      [true, false, false],
    );
    const tasks = await Promise.all(inserted.map(({ id }) => test.task(id)));
    assert.deepEqual(
      tasks.map((task) => [task?.state, task?.epoch, task?.attemptCount, task?.sessionId]),
      [
        ["assigned", 1, 1, own],
        ["queued", 0, 0, undefined],
        ["queued", 0, 0, undefined],
      ],
    );
    const found = await test.claims.assignedTo([own, others, gone]);
    assert.deepEqual(
      found.map(({ taskId, epoch, sessionId }) => [taskId, epoch, sessionId]),
      [[inserted[0]?.id, 1, own]],
    );
  });

  it("answers the earlier task for a unique key that is taken, within a batch too, and after its end", async () => {
    const test = opened();
    const classId = await makeClass(test, "keyed");
    const insert = (uniqueKey: string | undefined) => ({
      task: newTask({ uniqueKey }),
      classId,
      assignTo: undefined,
    });
    const [first, twin, plain] = await test.claims.insertTasks([
      insert("key of conformance"),
      insert("key of conformance"),
      insert(undefined),
    ]);
    assert.ok(first && plain);
    assert.deepEqual([first.duplicate, plain.duplicate], [false, false]);
    assert.deepEqual(twin, {
      ...{ id: first.id, duplicate: true, assigned: false },
      conflict: { outcome: "returned", state: "queued" },
    });
    const sessionId = await test.openSession("a");
    const [attempt] = await test.claims.claim([{ taskId: first.id, sessionId }]);
    assert.ok(attempt);
    await test.attempts.commitResults([commitRequest(attempt, SUCCEEDED)]);
    const [later] = await test.claims.insertTasks([insert("key of conformance")]);
    assert.deepEqual(later, {
      ...{ id: first.id, duplicate: true, assigned: false },
      conflict: { outcome: "returned", state: "succeeded" },
    });
    assert.equal((await test.classes.waitingTasks([classId], 10)).length, 1, "the task without a key");
  });

  it("gives the key of a task that failed to the next submit", async () => {
    const test = opened();
    const classId = await makeClass(test, "freed");
    const task = newTask({ uniqueKey: "freed by a failure" });
    const [first = 0] = await submitted(test, classId, [task]);
    const sessionId = await test.openSession("a");
    const [attempt] = await test.claims.claim([{ taskId: first, sessionId }]);
    assert.ok(attempt);
    await test.attempts.commitResults([commitRequest(attempt, failed("non_retryable"))]);
    const [second] = await test.claims.insertTasks([{ task, classId, assignTo: undefined }]);
    assert.ok(second && second.id !== first);
    assert.deepEqual([second.duplicate, second.conflict], [false, undefined]);
    const [third] = await test.claims.insertTasks([{ task, classId, assignTo: undefined }]);
    assert.equal(third?.id, second.id);
  });

  it("replaces a task that waits for a retry: fresh attempts, and its worker does not take it back", async () => {
    const test = opened();
    const classId = await makeClass(test, "replaced");
    const unique = { uniqueKey: "replaced", options: { unique: { while: "queued" as const } } };
    const [taskId = 0] = await submitted(test, classId, [
      newTask({ ...unique, payload: Buffer.from("old") }),
    ]);
    const sessionId = await test.openSession("a");
    const [attempt] = await test.claims.claim([{ taskId, sessionId }]);
    assert.ok(attempt);
    await test.attempts.commitResults([commitRequest(attempt, failed())]);
    assert.equal((await test.task(taskId))?.sleeps, true);
    const [replaced] = await test.claims.insertTasks([
      {
        task: newTask({ ...unique, payload: Buffer.from("new"), priority: 5, onConflict: "replace" }),
        classId,
        assignTo: undefined,
      },
    ]);
    assert.deepEqual(replaced, {
      ...{ id: taskId, duplicate: false, assigned: false },
      conflict: { outcome: "replaced", state: "queued" },
    });
    const after = await test.task(taskId);
    assert.deepEqual(
      [after?.state, after?.sleeps, after?.attemptCount, after?.failureCode, after?.epoch],
      ["queued", false, 0, undefined, 1],
    );
    assert.equal(await test.attempts.retake({ taskId, epoch: 1 }, sessionId), false);
    const [next] = await test.claims.claim([{ taskId, sessionId }]);
    assert.deepEqual([String(next?.payload), next?.epoch, next?.attemptCount], ["new", 2, 1]);
  });

  it("refuses all tasks of a batch when one of them is refused for its key", async () => {
    const test = opened();
    const classId = await makeClass(test, "refused");
    const task = newTask({ uniqueKey: "refused" });
    const [holderId = 0] = await submitted(test, classId, [task]);
    const batch = [
      newTask(),
      newTask({ uniqueKey: "refused, new" }),
      { ...task, onConflict: "refuse" as const },
    ];
    await assert.rejects(submitted(test, classId, batch), (error) => {
      assert.ok(error instanceof UniqueKeyHeldError);
      assert.deepEqual(
        error.conflicts.map(({ index, holderId: id, holderState }) => [index, id, holderState]),
        [[2, holderId, "queued"]],
      );
      return true;
    });
    const waiting = await test.classes.waitingTasks([classId], 10);
    assert.deepEqual(
      waiting.map(({ id }) => id),
      [holderId],
    );
    const [fresh] = await test.claims.insertTasks([
      { task: newTask({ uniqueKey: "refused, new" }), classId, assignTo: undefined },
    ]);
    assert.equal(fresh?.duplicate, false, "a refused batch takes no key");
  });

  it("claims each task once, with what its worker needs", async () => {
    const test = opened();
    const classId = await makeClass(test, "claim");
    const given = {
      payload: Buffer.from([0, 1, 255]),
      contentType: "image/png",
      headers: { traceparent: "x" },
      options: { timeouts: { runMs: 7 } },
    };
    const [taskId = 0] = await submitted(test, classId, [newTask(given)]);
    const [one, other] = [await test.openSession("a"), await test.openSession("a")];
    const claims = await Promise.all(
      [one, other].map((sessionId) => test.claims.claim([{ taskId, sessionId }], "a")),
    );
    const [attempt, ...more] = claims.flat();
    assert.ok(attempt && more.length === 0);
    assert.deepEqual(Buffer.from(attempt.payload), given.payload);
    const { contentType, headers, options, epoch, attemptCount, accepted } = attempt;
    assert.deepEqual(
      { contentType, headers, options, epoch, attemptCount, accepted },
      {
        contentType: given.contentType,
        headers: given.headers,
        options: given.options,
        epoch: 1,
        attemptCount: 1,
        accepted: false,
      },
    );
    assert.ok(attempt.sinceCreationMs !== undefined && attempt.sinceCreationMs >= 0);
    const task = await test.task(taskId);
    assert.deepEqual([task?.state, task?.sessionId], ["assigned", attempt.sessionId]);
  });

  it("claims the others of a batch when some are held, sleep, have ended or never were", async () => {
    const test = opened();
    const classId = await makeClass(test, "unclaimable");
    const [held = 0, ended = 0, sleeping = 0, good = 0] = await submitted(test, classId, [
      newTask(),
      newTask(),
      newTask({ delayMs: 60_000 }),
      newTask(),
    ]);
    const [holder, sessionId] = [await test.openSession("a"), await test.openSession("a")];
    await test.claims.claim([{ taskId: held, sessionId: holder }]);
    const [over] = await test.claims.claim([{ taskId: ended, sessionId }]);
    assert.ok(over);
    await test.attempts.commitResults([commitRequest(over, SUCCEEDED)]);
    const claimed = await test.claims.claim(
      [held, ended, sleeping, 2 ** 40, good].map((taskId) => ({ taskId, sessionId })),
    );
    assert.deepEqual(
      claimed.map(({ taskId }) => taskId),
      [good],
    );
    assert.equal((await test.task(held))?.sessionId, holder);
  });

  it("claims nothing for a session that has ended or is another scheduler's", async () => {
    const test = opened();
    const classId = await makeClass(test, "no-session");
    const [taskId = 0] = await submitted(test, classId, [newTask()]);
    const [gone, others] = [await test.openSession("a"), await test.openSession("b")];
    await test.endSession(gone);
    for (const sessionId of [gone, others])
      assert.deepEqual(await test.claims.claim([{ taskId, sessionId }], "a"), []);
    const task = await test.task(taskId);
    assert.deepEqual([task?.state, task?.epoch], ["queued", 0]);
    assert.equal((await test.claims.claim([{ taskId, sessionId: others }], "b")).length, 1);
  });

  it("wakes tasks whose time has come, and no others", async () => {
    const test = opened();
    const classId = await makeClass(test, "wake");
    const [soon = 0, late = 0] = await submitted(test, classId, [
      newTask({ delayMs: 30_000, priority: 3 }),
      newTask({ delayMs: 3_600_000 }),
    ]);
    const woken = async () => (await test.claims.wakeDue(1_000)).filter((task) => task.classId === classId);
    assert.deepEqual(await woken(), []);
    await test.passWait(soon);
    assert.deepEqual(await woken(), [{ id: soon, classId, priority: 3 }]);
    assert.deepEqual([(await test.task(soon))?.sleeps, (await test.task(late))?.sleeps], [false, true]);
  });

  it("takes a delay of zero and a time in the past for now", async () => {
    const test = opened();
    const classId = await makeClass(test, "now");
    await submitted(test, classId, [newTask({ delayMs: 0 }), newTask({ runAtMs: 1 })]);
    assert.equal((await test.classes.waitingTasks([classId], 10)).length, 2);
  });

  it("fails tasks that did not start by their deadline, and none that was assigned", async () => {
    const test = opened();
    const classId = await makeClass(test, "overdue");
    const options = { timeouts: { queueWaitMs: 30_000 } };
    const [waits = 0, held = 0] = await submitted(test, classId, [
      newTask({ options }),
      newTask({ options }),
    ]);
    await test.claims.claim([{ taskId: held, sessionId: await test.openSession("a") }]);
    const failed = async () =>
      (await test.claims.failOverdue(1_000)).filter((each) => each.classId === classId);
    assert.deepEqual(await failed(), []);
    await test.passWait(waits);
    await test.passWait(held);
    assert.deepEqual(await failed(), [{ id: waits, classId }]);
    const task = await test.task(waits);
    assert.deepEqual(
      [task?.state, task?.detail, task?.failureCode],
      ["failed", "DEADLINE_BEFORE_START", "DEADLINE_BEFORE_START"],
    );
    assert.equal((await test.task(held))?.state, "assigned");
  });
}
