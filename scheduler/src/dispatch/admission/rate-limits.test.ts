import assert from "node:assert/strict";
import { beforeEach, describe, it, mock } from "node:test";
import { queueRateKey } from "../../domain/tasks/limits/rate-limit.ts";
import { newTask, SUCCEEDED } from "../../store/testing/made-rows.ts";
import { settled } from "../../testing/manual-clock.ts";
import { HotPath, TYPE } from "../testing/hot-path.ts";

/** A token in 100 ms. */
const RATE = [{ key: "r", limit: 10, periodMs: 1_000, burst: 2 }];

describe("rate limits in the dispatch", () => {
  let hot: HotPath;

  beforeEach(() => {
    hot = new HotPath();
  });

  const claims = () =>
    hot.faults
      .callsOf("claimRated")
      .map(([wanted]) => (wanted as readonly { taskId: number }[]).map(({ taskId }) => taskId));
  const rated = () => hot.tables.classes.find(({ rateLimits }) => rateLimits !== undefined);

  it("plans no more than there are tokens, and the next when its token comes, without a poll", async () => {
    hot.worker({ slots: 10 });
    await hot.submit(5, { rateLimits: RATE });
    await settled();
    assert.deepEqual(claims().flat(), [1, 2]);
    await hot.clock.pass(99);
    assert.deepEqual(claims().flat(), [1, 2]);
    await hot.clock.pass(1);
    assert.deepEqual(claims().flat(), [1, 2, 3]);
    await hot.clock.pass(200);
    assert.deepEqual(claims().flat(), [1, 2, 3, 4, 5]);
    assert.equal(hot.dispatch.counters.rateClaimsTurnedBack, 0);
  });

  it("assigns no task with a rate limit in the statement that inserts it", async () => {
    hot.worker({ slots: 10 });
    const [limited] = await hot.submit(1, { rateLimits: RATE });
    await hot.submit();
    await settled();
    const [plain] = await hot.submit();
    assert.deepEqual([limited?.assigned, plain?.assigned], [false, true]);
  });

  it("claims tasks with limits, with keys and with neither by a statement each", async () => {
    await hot.waiting(2);
    await hot.waiting(2, { concurrency: [{ key: "k", limit: 9 }] });
    await hot.waiting(2, { rateLimits: RATE, concurrency: [{ key: "k", limit: 9 }] });
    await hot.poll();
    hot.worker({ slots: 10 });
    await settled();
    assert.deepEqual(
      ["claim", "claimKeyed", "claimRated"].map((name) => hot.faults.callsOf(name).length),
      [1, 1, 1],
    );
  });

  it("is turned back once when another scheduler took the tokens, and then waits for the next", async () => {
    const elsewhere = await hot.waiting(2, { rateLimits: RATE });
    const other = hot.tables.openSession("other");
    await hot.store.claims.claimRated(elsewhere.map((taskId) => ({ taskId, sessionId: other })));
    hot.worker({ slots: 10 });
    const [third] = await hot.waiting(1, { rateLimits: RATE });
    await hot.poll();
    await hot.poll();
    assert.deepEqual(claims(), [[third]], "it is not asked again");
    assert.equal(hot.dispatch.counters.rateClaimsTurnedBack, 1);
    const taskClass = rated();
    assert.ok(taskClass);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "RATE_LIMITED");
    await hot.clock.pass(100);
    assert.deepEqual(claims(), [[third], [third]]);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "RATE_LIMITED", "one token was there");
  });

  it("follows the operator's rate from the next look on, and the tasks' own when it is taken back", async () => {
    const { buckets } = hot.tables;
    hot.worker({ slots: 50 });
    await hot.waiting(1, { rateLimits: RATE });
    await hot.poll();
    const read = { rateOverrides: async () => buckets.overrides(), pausedKeys: async () => buckets.paused() };
    buckets.override("r", { limit: 1, periodMs: 3_600_000, burst: 1 });
    await hot.dispatch.rateLimits.refresh(read);
    await hot.submit(3, { rateLimits: RATE });
    await hot.clock.pass(5_000);
    assert.equal(claims().flat().length, 2, "one token of the operator's");
    buckets.override("r", undefined);
    await hot.dispatch.rateLimits.refresh(read);
    hot.dispatch.dispatcher.pump();
    await settled();
    assert.equal(claims().flat().length, 4);
  });

  it("is the tasks' own again after a look that finds no rate of an operator and no pause", async () => {
    const { buckets } = hot.tables;
    const { rateLimits, dispatcher } = hot.dispatch;
    const read = { rateOverrides: async () => buckets.overrides(), pausedKeys: async () => buckets.paused() };
    hot.worker({ slots: 50 });
    buckets.override("r", { limit: 1, periodMs: 3_600_000, burst: 1 });
    buckets.pause("p", 3_600_000);
    await hot.waiting(1, { rateLimits: RATE });
    await hot.poll();
    await rateLimits.refresh(read);
    await hot.submit(1, { rateLimits: RATE });
    assert.deepEqual([claims().flat().length, rateLimits.pausedCount], [1, 1]);
    buckets.override("r", undefined);
    buckets.pause("p", undefined);
    rateLimits.refreshEmpty();
    assert.equal(rateLimits.pausedCount, 0);
    dispatcher.pump();
    await settled();
    assert.equal(claims().flat().length, 2);
  });

  it("plans anew what a claim that failed had planned", async () => {
    hot.faults.failOnce("claimRated", new Error("no answer"));
    const worker = hot.worker({ slots: 10 });
    await hot.submit(2, { rateLimits: RATE });
    await settled();
    await hot.poll();
    await settled();
    assert.deepEqual(claims(), [[1], [1, 2]]);
    hot.report(worker, [1, 2], SUCCEEDED);
    await settled();
  });

  it("assigns nothing while a key is paused, and goes on when the pause ends, without a poll", async () => {
    const { buckets } = hot.tables;
    hot.worker({ slots: 10 });
    await hot.waiting(1, { rateLimits: RATE });
    await hot.poll();
    buckets.pause("r", 5_000);
    hot.dispatch.rateLimits.pause("r", 5_000);
    await hot.submit(1, { rateLimits: RATE });
    await hot.clock.pass(4_990);
    assert.equal(claims().flat().length, 1);
    const taskClass = rated();
    assert.ok(taskClass);
    assert.equal(hot.dispatch.admission.holdReason(taskClass)?.code, "KEY_PAUSED");
    await hot.clock.pass(10);
    assert.equal(claims().flat().length, 2);
  });

  it("is turned back once when another scheduler paused the key, and once more ends it early", async () => {
    const { buckets } = hot.tables;
    const read = { rateOverrides: async () => [], pausedKeys: async () => buckets.paused() };
    hot.worker({ slots: 10 });
    await hot.waiting(1, { rateLimits: RATE });
    buckets.pause("r", 3_600_000);
    await hot.poll();
    await hot.poll();
    assert.equal(claims().length, 1);
    buckets.pause("r", undefined);
    await hot.dispatch.rateLimits.refresh(read);
    await hot.poll();
    assert.equal(claims().length, 2);
    assert.equal(hot.dispatch.counters.rateClaimsTurnedBack, 1);
  });

  it("takes tokens of a queue that has a rate, of tasks without any limit of their own", async () => {
    const { buckets } = hot.tables;
    const key = queueRateKey("default");
    const read = { rateOverrides: async () => buckets.overrides(), pausedKeys: async () => [] };
    hot.worker({ slots: 10 });
    buckets.override(key, { limit: 10, periodMs: 1_000, burst: 2 });
    await hot.dispatch.rateLimits.refresh(read);
    await hot.submit(4);
    await settled();
    assert.equal(claims().flat().length, 2);
    await hot.clock.pass(100);
    assert.equal(claims().flat().length, 3);
    buckets.override(key, undefined);
    await hot.dispatch.rateLimits.refresh(read);
    hot.dispatch.dispatcher.pump();
    await settled();
    assert.deepEqual([claims().flat().length, hot.faults.callsOf("claim").length], [3, 1]);
  });

  it("asks about 10,000 classes of empty buckets once, and then only about those whose token came", async () => {
    const COUNT = 10_000;
    const { rateLimits, dispatcher } = hot.dispatch;
    const key = (index: number) => `customer-${index}`;
    const rate = { limit: 1, periodMs: 3_600_000, burst: 1 };
    await hot.dispatch.submitter.submit(
      Array.from({ length: COUNT }, (_, n) =>
        newTask({ type: TYPE, rateLimits: [{ key: key(n), ...rate }] }),
      ),
    );
    rateLimits.learn(
      Array.from({ length: COUNT }, (_, n) => ({
        ...{ key: key(n), ...rate, overrides: false, pausedMs: 0 },
        // The first three tokens come soon.
        debtMs: n < 3 ? 1_000 * (n + 1) : 3_600_000,
      })),
    );
    const asked = mock.method(rateLimits, "holdReason");
    hot.worker({ slots: 10 });
    await settled();
    assert.deepEqual([claims(), asked.mock.callCount()], [[], COUNT]);
    asked.mock.resetCalls();
    for (const seconds of [1, 2, 3]) {
      await hot.clock.pass(1_000);
      assert.equal(claims().length, seconds);
    }
    assert.ok(asked.mock.callCount() < 50, `${asked.mock.callCount()} looks`);
    asked.mock.resetCalls();
    dispatcher.lookAgain();
    await settled();
    assert.ok(asked.mock.callCount() <= COUNT + 10, "a poll asks once about each");
  });

  it("forgets buckets that are full", async () => {
    hot.worker({ slots: 10 });
    await hot.submit(1, { rateLimits: RATE });
    await settled();
    const read = { rateOverrides: async () => [], pausedKeys: async () => [] };
    await hot.dispatch.rateLimits.refresh(read);
    assert.equal(hot.dispatch.rateLimits.size, 1);
    await hot.clock.pass(100);
    await hot.dispatch.rateLimits.refresh(read);
    assert.equal(hot.dispatch.rateLimits.size, 0);
  });
});
