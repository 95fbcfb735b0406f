import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { fillMs } from "../../../domain/tasks/limits/rate-limit.ts";
import { ManualClock } from "../../../testing/manual-clock.ts";
import { MemoryBuckets } from "./memory-buckets.ts";

/** Numbers from 0 to 1 that are the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

describe("a bucket over time", () => {
  it("admits at most burst + limit * time starts in any window, and as many when they are asked for", async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = seeded(seed);
      const limit = 1 + Math.floor(random() * 20);
      const burst = 1 + Math.floor(random() * 10);
      const rate = { key: "k", limit, periodMs: 1_000 + Math.floor(random() * 5_000), burst };
      const clock = new ManualClock();
      const buckets = new MemoryBuckets(clock);
      buckets.make(rate);
      const starts: number[] = [];
      for (let step = 0; step < 300; step++) {
        await clock.pass(Math.floor(random() ** 4 * rate.periodMs));
        for (let asked = Math.floor(random() * 4); asked > 0 && buckets.hasToken("k", rate); asked--) {
          buckets.take("k");
          starts.push(clock.monotonic());
        }
      }
      starts.forEach((from, first) => {
        for (let last = first; last < starts.length; last++) {
          const allowed = burst + (((starts[last] ?? 0) - from) * limit) / rate.periodMs;
          assert.ok(last - first + 1 <= allowed + 1e-6, `seed ${seed}: ${last - first + 1} of ${allowed}`);
        }
      });
      await clock.pass(fillMs(rate));
      let tokens = 0;
      for (; buckets.hasToken("k", rate); tokens++) buckets.take("k");
      assert.equal(tokens, burst, "it is full after that time, and not fuller");
    }
  });
});
