/** Cases that every implementation of the roles passes for tasks with concurrency keys. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { ConcurrencyKey } from "../../../domain/tasks/limits/concurrency.ts";
import { commitRequest, failed, NO_REQUIREMENTS, newTask, SUCCEEDED } from "../made-rows.ts";
import { makeClass, submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

export function testKeys(opened: () => StoreUnderTest): void {
  /** Tasks that wait in a class with these keys. */
  async function waiting(type: string, count: number, keys?: readonly ConcurrencyKey[]): Promise<number[]> {
    const test = opened();
    const classId = await makeClass(test, type, keys);
    return submitted(
      test,
      classId,
      Array.from({ length: count }, () => newTask({ type, concurrency: keys })),
    );
  }

  async function claim(ids: readonly number[]) {
    const test = opened();
    const sessionId = await test.openSession("a");
    const result = await test.claims.claimKeyed(
      ids.map((taskId) => ({ taskId, sessionId })),
      "a",
    );
    return { ...result, ids: result.claimed.map(({ taskId }) => taskId).sort((a, b) => a - b) };
  }

  it("makes a class for each set of keys and limits", async () => {
    const test = opened();
    const ids = await Promise.all(
      [undefined, [{ key: "classes", limit: 1 }], [{ key: "classes", limit: 2 }]].map((keys) =>
        makeClass(test, "keyed-classes", keys),
      ),
    );
    assert.equal(new Set(ids).size, 3);
    assert.equal(await makeClass(test, "keyed-classes", [{ key: "classes", limit: 2 }]), ids[2]);
    const found = await test.classes.classesById(ids.slice(0, 2));
    assert.deepEqual(found.find(({ id }) => id === ids[1])?.concurrency, [{ key: "classes", limit: 1 }]);
  });

  it("makes a class for each fairness key and weight, beside the concurrency keys", async () => {
    const test = opened();
    const concurrency = [{ key: "classes", limit: 1 }];
    const wanted = [
      { fairness: { key: "a", weight: 1 } },
      { fairness: { key: "a", weight: 2 } },
      { fairness: { key: "b", weight: 1 } },
      { fairness: { key: "a", weight: 1 }, concurrency },
      { concurrency },
      {},
    ].map((each) => ({ queue: "default", type: "fair-classes", requirements: NO_REQUIREMENTS, ...each }));
    const classes = await test.classes.resolveClasses(wanted);
    assert.equal(new Set(classes.map(({ id }) => id)).size, wanted.length);
    assert.deepEqual(
      classes.map(({ fairness }) => fairness?.key),
      ["a", "a", "b", "a", undefined, undefined],
    );
    assert.deepEqual(await test.classes.resolveClasses(wanted.slice(0, 2)), classes.slice(0, 2));
    assert.deepEqual((await test.classes.classesById([classes[1]?.id ?? 0]))[0]?.fairness, {
      key: "a",
      weight: 2,
    });
  });

  it("claims as many as the limit allows, the first of the claim, and turns the others back", async () => {
    const [one = 0, two = 0, three = 0] = await waiting("first", 3, [{ key: "first", limit: 2 }]);
    const result = await claim([three, one, two]);
    assert.deepEqual(result.ids, [one, three]);
    assert.deepEqual(result.turnedBack, [two]);
    assert.deepEqual(result.keys, [{ key: "first", held: 2, override: undefined }]);
    assert.ok(result.claimed.every(({ keyed }) => keyed));
    const task = await opened().task(two);
    assert.deepEqual([task?.state, task?.epoch], ["queued", 0]);
  });

  it("counts by each task's own limit across classes, and every key of a task", async () => {
    const [wide = 0] = await waiting("wide", 1, [{ key: "shared", limit: 2 }]);
    const [narrow = 0] = await waiting("narrow", 1, [{ key: "shared", limit: 1 }]);
    const [both = 0] = await waiting("both", 1, [
      { key: "other", limit: 1 },
      { key: "shared", limit: 5 },
    ]);
    assert.deepEqual((await claim([wide])).ids, [wide]);
    assert.deepEqual((await claim([narrow])).turnedBack, [narrow]);
    const result = await claim([both]);
    assert.deepEqual(result.ids, [both]);
    // The other key admits three more.
    assert.deepEqual(result.keys, [{ key: "other", held: 1, override: undefined }]);
  });

  it("frees the keys with the end of an attempt, whether its task ends or not", async () => {
    const keys = [{ key: "freed", limit: 1 }];
    const [one = 0, two = 0] = await waiting("freed", 2, keys);
    const { attempts } = opened();
    for (const outcome of [failed(), { kind: "released", reason: "drain" }, SUCCEEDED] as const) {
      const { claimed, turnedBack } = await claim([one, two]);
      const [attempt] = claimed;
      assert.ok(attempt && turnedBack.length === 1);
      const request = commitRequest(attempt, outcome);
      assert.deepEqual(await attempts.commitResults([request]), [{ applied: true }]);
      assert.deepEqual(await attempts.commitResults([request]), [{ applied: false }], "a copy frees nothing");
      if (outcome.kind === "failed") await opened().passWait(one);
      await opened().claims.wakeDue(1_000);
    }
    assert.deepEqual((await claim([two])).ids, [two]);
  });

  it("frees and counts in batches with tasks that have no keys", async () => {
    const [keyed = 0, next = 0] = await waiting("mixed", 2, [{ key: "mixed", limit: 1 }]);
    const [plain = 0] = await waiting("mixed-plain", 1);
    const test = opened();
    const sessionId = await test.openSession("a");
    const attempts = [
      ...(await claim([keyed])).claimed,
      ...(await test.claims.claim([{ taskId: plain, sessionId }])),
    ];
    const requests = attempts.map((attempt) => commitRequest(attempt, SUCCEEDED));
    assert.deepEqual(await test.attempts.commitResults(requests), [{ applied: true }, { applied: true }]);
    assert.deepEqual((await claim([next])).ids, [next]);
  });

  it("counts an attempt again that its session takes back, unless others hold its key", async () => {
    const [kept = 0, other = 0] = await waiting("taken-back", 2, [{ key: "taken-back", limit: 1 }]);
    const { attempts } = opened();
    const [attempt] = (await claim([kept])).claimed;
    assert.ok(attempt);
    await attempts.commitResults([commitRequest(attempt, { kind: "unaccepted" })]);
    assert.equal(await attempts.retake(attempt, attempt.sessionId), true);
    assert.equal(await attempts.retake(attempt, attempt.sessionId), true, "it holds the key itself");
    assert.deepEqual((await claim([other])).turnedBack, [other]);
    await attempts.commitResults([commitRequest(attempt, { kind: "unaccepted" })]);
    const taken = await claim([other]);
    assert.deepEqual(taken.ids, [other]);
    const [holder] = taken.claimed;
    assert.ok(holder);
    assert.equal(await attempts.retake(attempt, attempt.sessionId), false);
    assert.equal((await opened().task(kept))?.state, "queued");
    await attempts.commitResults([commitRequest(holder, { kind: "released", reason: "drain" })]);
    assert.deepEqual((await claim([other])).ids, [other], "the refusal is not counted");
  });

  it("turns nothing back that does not wait, and claims for no session of another scheduler", async () => {
    const [held = 0, waits = 0] = await waiting("strangers", 2, [{ key: "strangers", limit: 5 }]);
    assert.deepEqual((await claim([held])).ids, [held]);
    assert.deepEqual((await claim([held])).turnedBack, []);
    const test = opened();
    const sessionId = await test.openSession("b");
    const result = await test.claims.claimKeyed([{ taskId: waits, sessionId }], "a");
    assert.deepEqual([result.claimed, result.turnedBack], [[], []]);
  });

  it("ends a new task at once when its key with cancel_newest has no place left", async () => {
    const keys = [{ key: "newest", limit: 2, onLimit: "cancel_newest" }] as const;
    const [one = 0, two = 0, three = 0] = await waiting("newest", 3, keys);
    const states = async () =>
      Promise.all([one, two, three].map(async (id) => (await opened().task(id))?.state));
    assert.deepEqual(await states(), ["queued", "queued", "cancelled"]);
    const { claimed } = await claim([one, two, three]);
    assert.equal(claimed.length, 2);
    const test = opened();
    const insert = async () => {
      const classId = await makeClass(test, "newest", keys);
      const task = newTask({ type: "newest", concurrency: keys });
      const [row] = await test.claims.insertTasks([{ task, classId, assignTo: undefined }]);
      assert.ok(row);
      return row;
    };
    const refused = await insert();
    assert.deepEqual(refused.limits?.reached, { key: "newest", limit: 2, taskIds: [one, two] });
    assert.deepEqual(
      refused.limits?.ended.map(({ id }) => id),
      [refused.id],
    );
    await test.attempts.commitResults(claimed.slice(0, 1).map((each) => commitRequest(each, SUCCEEDED)));
    assert.equal((await insert()).limits, undefined, "one of them has ended");
  });

  it("cancels the oldest for a new one with cancel_running: ends what waits, and asks what runs", async () => {
    const keys = [{ key: "running", limit: 1, onLimit: "cancel_running" }] as const;
    const [first = 0] = await waiting("running", 1, keys);
    const [attempt] = (await claim([first])).claimed;
    assert.ok(attempt);
    const [second = 0] = await waiting("running", 1, keys);
    assert.equal((await opened().task(first))?.state, "assigned", "its worker has to end it");
    const test = opened();
    const classId = await makeClass(test, "running", keys);
    const task = newTask({ type: "running", concurrency: keys });
    const [third] = await test.claims.insertTasks([{ task, classId, assignTo: undefined }]);
    assert.ok(third);
    assert.deepEqual(third.limits?.cancelled, [second], "the first one is being cancelled");
    assert.deepEqual(third.limits?.ended, [{ id: second, classId }]);
    assert.equal((await opened().task(second))?.state, "cancelled");
    assert.deepEqual((await claim([third.id])).turnedBack, [third.id], "the limit holds");
    await test.attempts.commitResults([commitRequest(attempt, { kind: "cancelled", message: "" })]);
    assert.deepEqual((await claim([third.id])).ids, [third.id]);
  });
}
