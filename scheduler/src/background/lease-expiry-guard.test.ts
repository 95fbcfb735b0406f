import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../clock.ts";
import { Judge } from "./lease-expiry-guard.ts";

const LEASE = 1_000;
const GAP = 300;

/** What the database's clock says at a moment of the test: it is not this machine's. */
const databaseTime = (now: number) => new Date(1_000_000 + now);

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
      assert.equal(judge.asOf(), undefined, `after ${ms} ms`);
      time.now += 100;
      judge.renewed(databaseTime(time.now));
    }
    assert.deepEqual(judge.asOf(), databaseTime(time.now));
  });

  it("owes them another one after it was starved itself, and tells for how long it was", () => {
    const { judge, time } = judgeAt();
    for (let n = 0; n < 20; n++) {
      time.now += 100;
      assert.equal(judge.renewed(databaseTime(time.now)), undefined);
    }
    assert.deepEqual(judge.asOf(), databaseTime(time.now));
    time.now += 10_000;
    assert.equal(judge.asOf(), undefined, "before it knows what their beats earned");
    assert.equal(judge.renewed(databaseTime(time.now)), 10_000);
    assert.equal(judge.asOf(), undefined);
    for (let ms = 0; ms < LEASE; ms += 100) {
      time.now += 100;
      judge.renewed(databaseTime(time.now));
    }
    assert.deepEqual(judge.asOf(), databaseTime(time.now));
  });

  it("judges nobody while the database is away, though renewals succeed, and a lease later", () => {
    const { judge, time } = judgeAt();
    const renewFor = (forMs: number) => {
      for (let ms = 0; ms < forMs; ms += 100) {
        assert.equal(judge.asOf(), undefined);
        time.now += 100;
        judge.renewed(databaseTime(time.now));
      }
    };
    renewFor(LEASE);
    assert.deepEqual(judge.asOf(), databaseTime(time.now));
    judge.databaseChanged(false);
    renewFor(5 * LEASE);
    judge.databaseChanged(true);
    renewFor(LEASE);
    assert.deepEqual(judge.asOf(), databaseTime(time.now));
  });

  it("judges as of its last renewal, not as of now", () => {
    const { judge, time } = judgeAt();
    for (let ms = 0; ms <= LEASE; ms += 100) {
      time.now += 100;
      judge.renewed(databaseTime(time.now));
    }
    const renewedAt = time.now;
    time.now += GAP;
    assert.deepEqual(judge.asOf(), databaseTime(renewedAt));
    time.now += 1;
    assert.equal(judge.asOf(), undefined);
  });
});
