/** Cases that every implementation of the roles passes for tasks with rate limits. */
import assert from "node:assert/strict";
import { it } from "node:test";
import type { ConcurrencyKey } from "../../../domain/tasks/limits/concurrency.ts";
import { type RateLimit, tokenCount } from "../../../domain/tasks/limits/rate-limit.ts";
import { commitRequest, failed, NO_REQUIREMENTS, newTask } from "../made-rows.ts";
import { submitted } from "./setup.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** So slow that no token comes while a case runs. */
const HOUR = 3_600_000;

const rate = (key: string, limit: number, burst = limit): RateLimit => ({
  key,
  limit,
  periodMs: HOUR,
  burst,
});

export function testRates(opened: () => StoreUnderTest): void {
  async function makeClass(
    type: string,
    rateLimits: readonly RateLimit[],
    concurrency?: readonly ConcurrencyKey[],
  ) {
    const wanted = { queue: "default", type, requirements: NO_REQUIREMENTS, concurrency, rateLimits };
    const [made] = await opened().classes.resolveClasses([wanted]);
    assert.ok(made);
    return made;
  }

  /** Tasks that wait in a class with these limits. */
  async function waiting(
    type: string,
    count: number,
    limits: readonly RateLimit[],
    concurrency?: readonly ConcurrencyKey[],
  ): Promise<number[]> {
    const { id } = await makeClass(type, limits, concurrency);
    return submitted(
      opened(),
      id,
      Array.from({ length: count }, () => newTask()),
    );
  }

  async function claim(ids: readonly number[]) {
    const test = opened();
    const sessionId = await test.openSession("a");
    const result = await test.claims.claimRated(
      ids.map((taskId) => ({ taskId, sessionId })),
      "a",
    );
    // A key may have several buckets with one limit: the fullest is last.
    const buckets = result.buckets.toSorted((a, b) => a.burst - b.burst);
    const tokens = Object.fromEntries(
      buckets.map((each) => [
        `${each.key} ${each.limit}${each.overrides ? "*" : ""}`,
        tokenCount(each, each.debtMs),
      ]),
    );
    return { ...result, tokens, ids: result.claimed.map(({ taskId }) => taskId).sort((a, b) => a - b) };
  }

  it("makes a class for each set of rate limits", async () => {
    const limits = [[rate("classes", 1)], [rate("classes", 2)], [rate("classes", 2, 1)]];
    const made = await Promise.all(limits.map((each) => makeClass("rated-classes", each)));
    assert.equal(new Set(made.map(({ id }) => id)).size, 3);
    const [again] = await opened().classes.classesById([made[2]?.id ?? 0]);
    assert.deepEqual(again?.rateLimits, limits[2]);
    assert.equal((await makeClass("rated-classes", [rate("classes", 2, 1)])).id, again?.id);
  });

  it("claims as many as the bucket has tokens, the first of the claim, and turns the others back", async () => {
    const [one = 0, two = 0, three = 0] = await waiting("rated-first", 3, [rate("first", 5, 2)]);
    const result = await claim([three, one, two]);
    assert.deepEqual(result.ids, [one, three]);
    assert.deepEqual([result.turnedBack, result.rateLimited], [[two], [two]]);
    assert.deepEqual(result.tokens, { "first 5": 0 });
    const task = await opened().task(two);
    assert.deepEqual([task?.state, task?.epoch], ["queued", 0]);
  });

  it("gets a token for each interval that passes, and no more than the burst", async () => {
    const ids = await waiting("rated-refill", 9, [rate("refill", 4, 2)]);
    assert.equal((await claim(ids)).ids.length, 2);
    await opened().passRefill("refill", HOUR / 4 + 1);
    assert.equal((await claim(ids)).ids.length, 1);
    await opened().passRefill("refill", HOUR / 4 - 1_000);
    assert.equal((await claim(ids)).ids.length, 0, "not yet");
    await opened().passRefill("refill", 10 * HOUR);
    assert.equal((await claim(ids)).ids.length, 2);
  });

  it("takes a token from the bucket of every rate of the key, and asks the task's own", async () => {
    const [wide = 0, next = 0] = await waiting("rated-wide", 2, [rate("shared", 3)]);
    const [narrow = 0] = await waiting("rated-narrow", 1, [rate("shared", 1)]);
    assert.deepEqual((await claim([wide])).tokens, { "shared 3": 2, "shared 1": 0 });
    assert.deepEqual((await claim([narrow])).rateLimited, [narrow]);
    assert.deepEqual((await claim([next])).tokens, { "shared 3": 1, "shared 1": 0 });
  });

  it("takes nothing for a task that another of its buckets, or a concurrency key, turns back", async () => {
    const [first = 0] = await waiting("rated-empty", 1, [rate("empty", 1)]);
    await claim([first]);
    const [both = 0] = await waiting("rated-both", 1, [rate("empty", 1), rate("open", 1)]);
    const result = await claim([both]);
    assert.deepEqual([result.rateLimited, result.tokens], [[both], { "empty 1": 0, "open 1": 1 }]);
    const [holder = 0, held = 0] = await waiting(
      "rated-held",
      2,
      [rate("open", 1, 5)],
      [{ key: "rated-held", limit: 1 }],
    );
    const keyed = await claim([holder, held]);
    assert.deepEqual([keyed.ids, keyed.turnedBack, keyed.rateLimited], [[holder], [held], []]);
    assert.deepEqual(keyed.tokens, { "open 1": 4 });
  });

  it("counts no concurrency key for a task that a bucket turns back", async () => {
    const keys = [{ key: "rated-free", limit: 2 }];
    const [first = 0, second = 0] = await waiting("rated-free", 2, [rate("rated-free", 1)], keys);
    assert.deepEqual((await claim([first, second])).ids, [first]);
    const [other = 0, more = 0] = await waiting("rated-free-other", 2, [rate("rated-free-other", 5)], keys);
    const result = await claim([other, more]);
    assert.deepEqual([result.ids, result.turnedBack], [[other], [more]]);
  });

  it("takes a token again for the next attempt, and gives none back for one that was not accepted", async () => {
    const [id = 0] = await waiting("rated-again", 1, [rate("again", 2)]);
    const [attempt] = (await claim([id])).claimed;
    assert.ok(attempt);
    await opened().attempts.commitResults([commitRequest(attempt, { kind: "unaccepted" })]);
    assert.equal(await opened().attempts.retake(attempt, attempt.sessionId), true, "that is no new start");
    await opened().attempts.commitResults([commitRequest(attempt, failed())]);
    await opened().passWait(id);
    await opened().claims.wakeDue(1_000);
    const again = await claim([id]);
    assert.deepEqual([again.ids, again.tokens], [[id], { "again 2": 0 }]);
  });

  it("asks the operator's rate in place of the tasks' own, with a full bucket, until it is taken back", async () => {
    const ids = await waiting("rated-override", 6, [rate("override", 1)]);
    assert.equal((await claim(ids)).ids.length, 1);
    await opened().setRate("override", { limit: 3, periodMs: HOUR, burst: 2 });
    const result = await claim(ids);
    assert.deepEqual([result.ids.length, result.tokens], [2, { "override 3*": 0, "override 1": 0 }]);
    await opened().setRate("override", undefined);
    await opened().passRefill("override", HOUR);
    const { ids: last, tokens } = await claim(ids);
    assert.deepEqual([last.length, tokens], [1, { "override 1": 0 }]);
  });

  it("turns back every task of a paused key, whatever its rate, until the pause that ends last has ended", async () => {
    const [one = 0, two = 0] = await waiting("rated-paused", 2, [rate("paused", 9)]);
    await opened().setPause("paused", HOUR);
    await opened().setPause("paused", 1_000);
    const [other = 0] = await waiting("rated-paused-later", 1, [rate("paused", 5), rate("not-paused", 5)]);
    const result = await claim([one, two, other]);
    assert.deepEqual([result.ids, result.rateLimited.length], [[], 3]);
    assert.deepEqual(result.tokens, { "paused 5": 5, "paused 9": 9, "not-paused 5": 5 }, "nothing was taken");
    const left = result.buckets.filter(({ key }) => key === "paused").map(({ pausedMs }) => pausedMs);
    assert.ok(left.length === 2 && left.every((ms) => ms > HOUR - 60_000 && ms <= HOUR), String(left));
    await opened().passRefill("paused", HOUR + 1);
    assert.deepEqual((await claim([one])).ids, [one]);
    await opened().setPause("paused", HOUR);
    await opened().setPause("paused", undefined);
    assert.deepEqual((await claim([two])).ids, [two]);
  });

  it("turns nothing back that does not wait", async () => {
    const [held = 0] = await waiting("rated-strangers", 1, [rate("strangers", 5)]);
    assert.deepEqual((await claim([held])).ids, [held]);
    const again = await claim([held]);
    assert.deepEqual([again.turnedBack, again.rateLimited, again.buckets], [[], [], []]);
  });
}
