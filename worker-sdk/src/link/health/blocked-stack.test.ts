import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { BlockedStack } from "./blocked-stack.ts";

function watched(read: () => Promise<readonly string[]>) {
  const seen = { reads: 0, changes: 0, errors: 0, now: 0 };
  const stack = new BlockedStack({
    clock: { monotonicMs: () => seen.now },
    read: () => {
      seen.reads += 1;
      return read();
    },
    changed: () => void seen.changes++,
    unavailable: () => void seen.errors++,
  });
  return { seen, stack };
}

describe("the stack of a blocked main loop", () => {
  it("is read once at first, then after waits that double, and is gone when the loop turns", async () => {
    const { seen, stack } = watched(async () => ["burn (app.js:1:1)"]);
    stack.look(999);
    assert.equal(seen.reads, 0);
    stack.look(1_000);
    stack.look(1_200);
    await turn();
    assert.deepEqual([seen.reads, seen.changes], [1, 1]);
    seen.now = 5_000;
    assert.deepEqual(stack.current, { frames: ["burn (app.js:1:1)"], ageMs: 5_000, blockedMs: 1_000 });
    const readsAt: number[] = [];
    for (; seen.now < 300_000; seen.now += 5_000) {
      const before = seen.reads;
      stack.look(seen.now + 1_000);
      await turn();
      if (seen.reads > before) readsAt.push(seen.now);
    }
    assert.deepEqual(readsAt, [30_000, 90_000, 210_000]);
    stack.look(0);
    assert.ok(!stack.current);
    stack.look(2_000);
    await turn();
    assert.deepEqual(stack.current, { frames: ["burn (app.js:1:1)"], ageMs: 0, blockedMs: 2_000 });
  });

  it("is not kept when the loop turned while it was read", async () => {
    const { promise, resolve } = Promise.withResolvers<readonly string[]>();
    const { seen, stack } = watched(() => promise);
    stack.look(1_000);
    stack.look(0);
    resolve(["late"]);
    await turn();
    assert.deepEqual([stack.current, seen.changes], [undefined, 0]);
  });

  it("is not tried again where it cannot be read", async () => {
    const { seen, stack } = watched(() => Promise.reject(new Error("no inspector")));
    for (let n = 0; n < 3; n++) {
      stack.look(1_000);
      await turn();
      stack.look(0);
    }
    assert.deepEqual([seen.reads, seen.errors], [1, 1]);
  });
});
