import assert from "node:assert/strict";
import { AsyncLocalStorage } from "node:async_hooks";
import { test } from "node:test";
import { setImmediate } from "node:timers/promises";
import { currentAttemptId, withinAttempt } from "./attempt-scope.ts";

test("an attempt is current in its handler, across awaits, and in timers that it left running", async () => {
  const left = Promise.withResolvers<string | undefined>();
  await withinAttempt("t-1/1", async () => {
    assert.equal(currentAttemptId(), "t-1/1");
    await setImmediate();
    assert.equal(currentAttemptId(), "t-1/1");
    setTimeout(() => left.resolve(currentAttemptId()), 1);
  });
  assert.equal(currentAttemptId(), undefined);
  assert.equal(await withinAttempt("t-2/1", () => left.promise), "t-1/1");
});

test("a handler that starts in a callback of another one gets none of its stores", async () => {
  const store = new AsyncLocalStorage<string>();
  const first = withinAttempt("t-1/1", async () => {
    store.enterWith("of t-1/1");
    await setImmediate();
    return withinAttempt("t-2/1", () => [currentAttemptId(), store.getStore()]);
  });
  assert.deepEqual(await first, ["t-2/1", undefined]);
});
