import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../clock.ts";
import { Judge } from "./judge.ts";

const LEASE = 1_000;
const GAP = 300;

function judgeAt() {
  const time = { now: 5_000 };
  const clock: Clock = {
    now: () => time.now,
    monotonic: () => time.now,
    sleep: () => Promise.resolve(),
    after: () => () => undefined,
  };
  return { judge: new Judge(clock, LEASE, GAP), time };
}

describe("the judge of leases", () => {
  it("owes every worker a lease after the start", () => {
    const { judge, time } = judgeAt();
    for (let ms = 0; ms < LEASE; ms += 100) {
      assert.equal(judge.mayJudge(), false, `after ${ms} ms`);
      time.now += 100;
      judge.renewed();
    }
    assert.equal(judge.mayJudge(), true);
  });

  it("owes them another one after it was starved itself, and tells for how long it was", () => {
    const { judge, time } = judgeAt();
    for (let n = 0; n < 20; n++) {
      time.now += 100;
      assert.equal(judge.renewed(), undefined);
    }
    assert.equal(judge.mayJudge(), true);
    time.now += 10_000;
    assert.equal(judge.mayJudge(), false, "before it knows what their beats earned");
    assert.equal(judge.renewed(), 10_000);
    assert.equal(judge.mayJudge(), false);
    for (let ms = 0; ms < LEASE; ms += 100) {
      time.now += 100;
      judge.renewed();
    }
    assert.equal(judge.mayJudge(), true);
  });
});
