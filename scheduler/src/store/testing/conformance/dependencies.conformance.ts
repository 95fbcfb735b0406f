/** Cases that every implementation of the role for dependencies passes. */
import assert from "node:assert/strict";
import { it } from "node:test";
import {
  type SubmittedAfter,
  UnknownPredecessorsError,
} from "../../../domain/tasks/dependencies/dependencies.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import { commitRequest, failed, newTask, SUCCEEDED } from "../made-rows.ts";
import { makeClass, submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

const on = (taskId: number, condition: "succeeded" | "ended" = "succeeded"): SubmittedAfter => ({
  taskId,
  condition,
});

/** Everything that is left of the ends of predecessors, in steps of these sizes. */
async function release({ dependencies }: StoreUnderTest, maxEnds = 20, perEnd = 100) {
  const released: number[] = [];
  const ended: [number, string][] = [];
  for (let steps = 0; ; steps++) {
    const step = await dependencies.releaseDependents(maxEnds, perEnd);
    if (step.ends === 0) return { released, ended, steps };
    released.push(...step.released.map(({ task }) => task.id));
    ended.push(...step.ended.map(({ id, state }): [number, string] => [id, state]));
  }
}

/** Runs a task to an end. */
async function run(
  test: StoreUnderTest,
  taskId: number,
  outcome: Parameters<typeof commitRequest>[1] = SUCCEEDED,
): Promise<void> {
  const sessionId = await test.openSession("a");
  const [attempt] = await test.claims.claim([{ taskId, sessionId }]);
  assert.ok(attempt, `task ${taskId} was not claimed`);
  const [result] = await test.attempts.commitResults([commitRequest(attempt, outcome)]);
  assert.equal(result?.applied, true);
}

const BROKEN = failed("non_retryable");

export function testDependencies(opened: () => StoreUnderTest): void {
  const given = async (type: string, ...tasks: readonly Partial<NewTask>[]) => {
    const test = opened();
    const classId = await makeClass(test, type);
    const insert = (...more: readonly Partial<NewTask>[]) =>
      submitted(
        test,
        classId,
        more.map((each) => newTask({ type, ...each })),
      );
    return { test, classId, insert, ids: await insert(...tasks) };
  };

  it("holds a task until the last of its predecessors has succeeded", async () => {
    const { test, classId, insert, ids } = await given("join", {}, {});
    const [one = 0, two = 0] = ids;
    const [join = 0] = await insert({ after: [on(one), on(two)] });
    const sessionId = await test.openSession("a");
    assert.deepEqual(await test.claims.claim([{ taskId: join, sessionId }]), []);
    const waiting = await test.classes.waitingTasks([classId], 10);
    assert.deepEqual(
      waiting.map(({ id }) => id),
      [one, two],
    );
    await run(test, one);
    assert.deepEqual((await release(test)).released, []);
    assert.deepEqual(await test.claims.claim([{ taskId: join, sessionId }]), []);
    await run(test, two);
    assert.deepEqual((await release(test)).released, [join]);
    await run(test, join);
    assert.equal((await test.task(join))?.state, "succeeded");
  });

  it("takes a graph in one submit, and its positions count from the first task of the batch", async () => {
    const { test, ids } = await given(
      "graph",
      {},
      { after: [{ entry: 0, condition: "succeeded" }] },
      { after: [{ entry: 0, condition: "succeeded" }] },
      {
        after: [
          { entry: 1, condition: "succeeded" },
          { entry: 2, condition: "ended" },
        ],
      },
    );
    const [root = 0, left = 0, right = 0, join = 0] = ids;
    await run(test, root);
    assert.deepEqual((await release(test)).released, [left, right]);
    await run(test, left);
    assert.deepEqual((await release(test)).released, []);
    await run(test, right, BROKEN);
    assert.deepEqual((await release(test)).released, [join]);
  });

  it("ends dependents as their predecessor ended, down a chain, each step by step", async () => {
    const chain = Array.from({ length: 8 }, (_, index) =>
      index === 0 ? {} : { after: [{ entry: index - 1, condition: "succeeded" as const }] },
    );
    const { test, ids } = await given("chain", ...chain);
    await run(test, ids[0] ?? 0, BROKEN);
    const { ended, steps } = await release(test);
    assert.deepEqual(
      ended,
      ids.slice(1).map((id) => [id, "failed"]),
    );
    assert.ok(steps >= 7, `${steps} steps`);
    for (const id of ids.slice(1)) {
      const task = await test.task(id);
      assert.deepEqual(
        [task?.state, task?.detail, task?.failureCode, task?.epoch],
        ["failed", "DEPENDENCY_FAILED", "DEPENDENCY_FAILED", 0],
      );
    }
  });

  it("starts a task after any end where that is asked for", async () => {
    const { test, insert, ids } = await given("cleanup", {});
    const [job = 0] = ids;
    const [clean = 0, next = 0] = await insert({ after: [on(job, "ended")] }, { after: [on(job)] });
    await run(test, job, BROKEN);
    const { released, ended } = await release(test);
    assert.deepEqual([released, ended], [[clean], [[next, "failed"]]]);
  });

  it("counts predecessors that have ended before: a success lets start, another end ends", async () => {
    const { test, insert, ids } = await given("late", {}, {});
    const [good = 0, bad = 0] = ids;
    await run(test, good);
    await run(test, bad, BROKEN);
    const [starts = 0, ends = 0, waits = 0] = await insert(
      { after: [on(good), on(bad, "ended")] },
      { after: [on(good), on(bad)] },
      { after: [on(good)] },
    );
    assert.deepEqual(await release(test), { released: [], ended: [[ends, "failed"]], steps: 1 });
    await run(test, starts);
    await run(test, waits);
  });

  it("releases many dependents in steps, each once", async () => {
    const { test, insert, ids } = await given("fan-out", {});
    const [root = 0] = ids;
    const fan = await insert(...Array.from({ length: 25 }, () => ({ after: [on(root)] })));
    await run(test, root);
    const { released, steps } = await release(test, 1, 10);
    assert.deepEqual(released, fan);
    assert.equal(steps, 3);
  });

  it("begins the delay of a task when it is released", async () => {
    const { test, insert, ids } = await given("delay", {});
    const [root = 0] = ids;
    const [later = 0] = await insert({ after: [on(root)], delayMs: 60_000 });
    await run(test, root);
    const step = await test.dependencies.releaseDependents(10, 10);
    assert.equal(step.released[0]?.task.id, later);
    assert.ok((step.released[0]?.waitMs ?? 0) > 50_000);
    assert.equal((await test.task(later))?.sleeps, true);
    await test.passWait(later);
    assert.deepEqual(
      (await test.claims.wakeDue(10)).map(({ id }) => id),
      [later],
    );
  });

  it("inserts nothing when a task is to wait for one that does not exist", async () => {
    const { test, classId, insert, ids } = await given("unknown", {});
    const [root = 0] = ids;
    await assert.rejects(insert({}, { after: [on(root), on(999_999_999)] }), (error: unknown) => {
      assert.ok(error instanceof UnknownPredecessorsError);
      assert.deepEqual(error.unknown, [{ index: 1, position: 1, taskId: 999_999_999 }]);
      return true;
    });
    assert.deepEqual(
      (await test.classes.waitingTasks([classId], 10)).map(({ id }) => id),
      [root],
    );
  });

  it("waits for the holder of a unique key in place of an entry that met it", async () => {
    const { test, insert, ids } = await given("held-key", { uniqueKey: "once" });
    const [holder = 0] = ids;
    const [again, next = 0] = await insert(
      { uniqueKey: "once" },
      { after: [{ entry: 0, condition: "succeeded" }] },
    );
    assert.equal(again, holder);
    await run(test, holder);
    assert.deepEqual((await release(test)).released, [next]);
  });

  it("shows the dependencies of a task in both directions", async () => {
    const { test, insert, ids } = await given("links", {});
    const [root = 0] = ids;
    const fan = await insert({ after: [on(root)] }, { after: [on(root, "ended")] }, { after: [on(root)] });
    const first = await test.dependencies.taskLinks(root, 0, 2);
    assert.deepEqual(
      [first.dependents.map(({ taskId }) => taskId), first.dependentCount],
      [fan.slice(0, 2), 3],
    );
    const rest = await test.dependencies.taskLinks(root, first.lastPosition ?? 0, 2);
    assert.deepEqual(
      [rest.dependents.map(({ taskId }) => taskId), rest.lastPosition],
      [fan.slice(2), undefined],
    );
    await run(test, root);
    await release(test);
    const [predecessor] = await test.dependencies.predecessors(fan[1] ?? 0);
    assert.deepEqual(
      [predecessor?.taskId, predecessor?.condition, predecessor?.state, predecessor?.counted?.state],
      [root, "ended", "succeeded", "succeeded"],
    );
  });
}
