import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ManualClock } from "../testing/manual-clock.ts";
import { GraceEnds } from "./grace-ends.ts";

const GRACE_MS = 9_000;

function setUp() {
  const clock = new ManualClock();
  const wakes: number[] = [];
  const start = clock.monotonic();
  const ends = new GraceEnds(clock, GRACE_MS, () => void wakes.push(clock.monotonic() - start));
  return { clock, wakes, ends };
}

describe("the ends of graces", () => {
  it("wake soon after each, and never before it", async () => {
    const { clock, wakes, ends } = setUp();
    const drops = [0, 3_000, 8_000, 8_950];
    let at = 0;
    for (const drop of drops) {
      await clock.pass(drop - at);
      at = drop;
      ends.noteDrop();
    }
    assert.deepEqual(wakes, []);
    await clock.pass(2 * GRACE_MS);
    assert.equal(wakes.length, drops.length);
    for (const [n, drop] of drops.entries()) {
      const late = (wakes[n] ?? 0) - drop - GRACE_MS;
      assert.ok(late > 0 && late <= 200, `${late} ms after the grace of the drop at ${drop}`);
    }
  });

  it("wake once for many drops at once", async () => {
    const { clock, wakes, ends } = setUp();
    for (let drop = 0; drop < 1_000; drop++) ends.noteDrop();
    await clock.pass(2 * GRACE_MS);
    assert.equal(wakes.length, 1);
  });

  it("wake nothing when stopped", async () => {
    const { clock, wakes, ends } = setUp();
    ends.noteDrop();
    ends.stop();
    await clock.pass(2 * GRACE_MS);
    assert.deepEqual(wakes, []);
  });
});
