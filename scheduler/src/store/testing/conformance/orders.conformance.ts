/** Cases that every implementation of the roles passes for concurrency keys with a strict order. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { ConcurrencyKey } from "../../../domain/tasks/limits/concurrency.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import { commitRequest, failed, newTask, SUCCEEDED } from "../made-rows.ts";
import { makeClass, submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** A key whose tasks start in the order of their ids. */
function strict(key: string, limit = 1, priority = 0): ConcurrencyKey {
  return { key, limit, strict: { priority } };
}

export function testOrders(opened: () => StoreUnderTest): void {
  /** A task that waits in the class of its type with these keys. */
  async function waiting(
    type: string,
    keys: readonly ConcurrencyKey[],
    fields: Partial<NewTask> = {},
  ): Promise<number> {
    const test = opened();
    const classId = await makeClass(test, type, keys);
    const [id = 0] = await submitted(test, classId, [newTask({ type, concurrency: keys, ...fields })]);
    return id;
  }

  async function claim(ids: readonly number[], statement: "claimKeyed" | "claimRated" = "claimKeyed") {
    const test = opened();
    const sessionId = await test.openSession("a");
    const wanted = ids.map((taskId) => ({ taskId, sessionId }));
    const { claimed, turnedBack, orders } = await test.claims[statement](wanted, "a", true);
    return {
      claimed,
      ids: claimed.map(({ taskId }) => taskId),
      turnedBack: [...turnedBack].sort((a, b) => a - b),
      first: orders?.map(({ key, first }) => [key, first?.id, first?.ready]),
    };
  }

  /** Claims the task and ends it. */
  async function run(id: number): Promise<void> {
    const { claimed } = await claim([id]);
    const [attempt] = claimed;
    assert.ok(attempt, `task ${id} was not claimed`);
    await opened().attempts.commitResults([commitRequest(attempt, SUCCEEDED)]);
  }

  it("makes classes of their own for tasks with a strict order, one for each priority", async () => {
    const test = opened();
    const ids = await Promise.all(
      [[{ key: "apart", limit: 1 }], [strict("apart")], [strict("apart", 1, 5)]].map((keys) =>
        makeClass(test, "apart", keys),
      ),
    );
    assert.equal(new Set(ids).size, 3);
    assert.equal(await makeClass(test, "apart", [strict("apart", 1, 5)]), ids[2]);
    const [found] = await test.classes.classesById(ids.slice(2));
    assert.deepEqual(found?.concurrency, [strict("apart", 1, 5)]);
  });

  it("claims the oldest task only, whatever types and priorities, and names the one that goes first next", async () => {
    const first = await waiting("order-a", [strict("mixed-order")]);
    const second = await waiting("order-b", [strict("mixed-order", 1, 100)], { priority: 100 });
    const third = await waiting("order-a", [strict("mixed-order")]);
    const early = await claim([second, third]);
    assert.deepEqual([early.ids, early.turnedBack], [[], [second, third]]);
    assert.deepEqual(early.first, [["mixed-order", first, true]]);
    const result = await claim([third, second, first]);
    assert.deepEqual([result.ids, result.turnedBack], [[first], [second, third]]);
    assert.deepEqual(result.first, [["mixed-order", second, true]]);
    await opened().attempts.commitResults([commitRequest(result.claimed[0] as never, SUCCEEDED)]);
    assert.deepEqual((await claim([third])).turnedBack, [third]);
    await run(second);
    const last = await claim([third]);
    assert.deepEqual([last.ids, last.first], [[third], [["mixed-order", undefined, undefined]]]);
  });

  it("claims one task of a key at a time, with a higher limit one after the other", async () => {
    const ids: number[] = [];
    for (let n = 0; n < 4; n++) ids.push(await waiting("three", [strict("three", 3)]));
    for (const id of ids.slice(0, 3)) assert.deepEqual((await claim(ids)).ids, [id]);
    assert.deepEqual((await claim(ids)).turnedBack, ids.slice(3), "the limit holds");
  });

  it("lets no later task start while an older one waits for its retry, and that one keep its place", async () => {
    const keys = [strict("kept-place")];
    const [older, newer] = [await waiting("kept-place", keys), await waiting("kept-place-2", keys)];
    const [attempt] = (await claim([older])).claimed;
    assert.ok(attempt);
    assert.deepEqual((await claim([newer])).first, [["kept-place", newer, true]], "the older one runs");
    await opened().attempts.commitResults([commitRequest(attempt, failed())]);
    const behind = await claim([newer]);
    assert.deepEqual([behind.turnedBack, behind.first], [[newer], [["kept-place", older, false]]]);
    await opened().passWait(older);
    await opened().claims.wakeDue(1_000);
    assert.deepEqual((await claim([newer])).first, [["kept-place", older, true]]);
    await run(older);
    assert.deepEqual((await claim([newer])).ids, [newer]);
  });

  it("lets the next one start when the older has ended while it waited, or without success", async () => {
    const keys = [strict("ended")];
    const late = { options: { timeouts: { queueWaitMs: 60_000 } } };
    const overdue = await waiting("ended", keys, late);
    const broken = await waiting("ended", keys);
    const next = await waiting("ended", keys);
    assert.deepEqual((await claim([broken])).first, [["ended", overdue, true]]);
    await opened().passWait(overdue);
    assert.deepEqual(
      (await opened().claims.failOverdue(1_000)).map(({ id }) => id),
      [overdue],
    );
    const [attempt] = (await claim([broken])).claimed;
    assert.ok(attempt);
    await opened().attempts.commitResults([commitRequest(attempt, failed("non_retryable"))]);
    assert.deepEqual((await claim([next])).ids, [next]);
  });

  it("orders nothing between tasks with and without a strict order, which share the limit", async () => {
    const free = [{ key: "shared-limit", limit: 1 }];
    const [one, two] = [await waiting("shared-1", free), await waiting("shared-2", [strict("shared-limit")])];
    const three = await waiting("shared-1", free);
    const result = await claim([two]);
    assert.deepEqual([result.ids, result.first], [[two], [["shared-limit", undefined, undefined]]]);
    assert.deepEqual((await claim([one, three])).turnedBack, [one, three]);
    await opened().attempts.commitResults([commitRequest(result.claimed[0] as never, SUCCEEDED)]);
    assert.deepEqual((await claim([three, one])).ids, [three]);
  });

  it("claims a task with several strict keys when it goes first for all of them", async () => {
    const first = await waiting("several-1", [strict("several-b")]);
    const both = await waiting("several-2", [strict("several-a"), strict("several-b")]);
    const last = await waiting("several-1", [strict("several-a")]);
    assert.deepEqual((await claim([both, last])).turnedBack, [both, last]);
    await run(first);
    await run(both);
    assert.deepEqual((await claim([last])).ids, [last]);
  });

  it("keeps the order in the claims of tasks with rate limits", async () => {
    const test = opened();
    const rates = [{ key: "order-rate", limit: 10, periodMs: 1_000, burst: 10 }];
    const concurrency = [strict("rated-order")];
    const wanted = { queue: "default", type: "rated-order", requirements: { labels: {}, resources: [] } };
    const [made] = await test.classes.resolveClasses([{ ...wanted, concurrency, rateLimits: rates }]);
    assert.ok(made);
    const task = newTask({ type: "rated-order", concurrency, rateLimits: rates });
    const [one = 0, two = 0] = await submitted(test, made.id, [task, task]);
    assert.deepEqual((await claim([two], "claimRated")).turnedBack, [two]);
    const result = await claim([two, one], "claimRated");
    assert.deepEqual([result.ids, result.turnedBack], [[one], [two]]);
    assert.deepEqual(result.first, [["rated-order", two, true]]);
  });
}
