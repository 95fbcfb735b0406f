import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../../clock.ts";
import { LeaseExpiryGuard } from "./lease-expiry-guard.ts";

const LEASE = 1_000;
const GAP = 300;

const NO_TROUBLE = { starvedMs: undefined, clockSetMs: undefined };

/** What the database's clock says at a moment of the test: it is not this machine's. */
const databaseTime = (now: number) => new Date(1_000_000 + now);

function guardAt() {
  const time = { now: 5_000 };
  const clock: Clock = {
    now: () => time.now,
    monotonic: () => time.now,
    sleep: () => Promise.resolve(),
    after: () => () => undefined,
  };
  return { guard: new LeaseExpiryGuard(clock, LEASE, GAP), time };
}

describe("lease expiry guard", () => {
  it("owes the workers of other schedulers a lease after the start, and its own ones none", () => {
    const { guard, time } = guardAt();
    assert.equal(guard.expiry(), undefined, "before the first renewal");
    for (let ms = 100; ms < LEASE; ms += 100) {
      time.now += 100;
      guard.noteRenewal(databaseTime(time.now));
      assert.deepEqual(guard.expiry(), { asOf: databaseTime(time.now), ownOnly: true }, `after ${ms} ms`);
    }
    time.now += 100;
    guard.noteRenewal(databaseTime(time.now));
    assert.deepEqual(guard.expiry(), { asOf: databaseTime(time.now), ownOnly: false });
  });

  it("owes them another one after it was starved itself, and reports for how long it was", () => {
    const { guard, time } = guardAt();
    for (let n = 0; n < 20; n++) {
      time.now += 100;
      assert.deepEqual(guard.noteRenewal(databaseTime(time.now)), NO_TROUBLE);
    }
    assert.deepEqual(guard.expiry()?.asOf, databaseTime(time.now));
    time.now += 10_000;
    assert.equal(guard.expiry(), undefined, "before their heartbeats were renewed");
    assert.deepEqual(guard.noteRenewal(databaseTime(time.now)), { ...NO_TROUBLE, starvedMs: 10_000 });
    assert.equal(guard.expiry(), undefined);
    for (let ms = 0; ms < LEASE; ms += 100) {
      time.now += 100;
      guard.noteRenewal(databaseTime(time.now));
    }
    assert.deepEqual(guard.expiry()?.asOf, databaseTime(time.now));
  });

  it("owes them another one after the database's clock was set forward or back by more than half a lease", () => {
    const { guard, time } = guardAt();
    let offset = 0;
    const renew = (ms = 100) => {
      time.now += ms;
      return guard.noteRenewal(databaseTime(time.now + offset));
    };
    for (let n = 0; n < 20; n++) assert.deepEqual(renew(), NO_TROUBLE);
    for (const step of [3_600_000, -3_600_000, 600, -600]) {
      offset += step;
      assert.ok(guard.expiry(), "as of the renewal before: the clock was not set then");
      assert.deepEqual(renew(), { ...NO_TROUBLE, clockSetMs: step });
      for (let ms = 0; ms < LEASE; ms += 100) {
        assert.equal(guard.expiry(), undefined, `${step}, ${ms} ms later`);
        assert.deepEqual(renew(), NO_TROUBLE);
      }
      assert.deepEqual(guard.expiry()?.asOf, databaseTime(time.now + offset));
    }
    offset += 400;
    assert.deepEqual(renew(), NO_TROUBLE);
    assert.ok(guard.expiry());
  });

  it("lets no lease expire while the database is away, though renewals succeed, and a lease later", () => {
    const { guard, time } = guardAt();
    const renewFor = (forMs: number) => {
      for (let ms = 0; ms < forMs; ms += 100) {
        assert.equal(guard.expiry(), undefined);
        time.now += 100;
        guard.noteRenewal(databaseTime(time.now));
      }
    };
    time.now += 100;
    guard.noteRenewal(databaseTime(time.now));
    assert.deepEqual(guard.expiry()?.asOf, databaseTime(time.now));
    guard.databaseChanged(false);
    renewFor(5 * LEASE);
    guard.databaseChanged(true);
    renewFor(LEASE);
    assert.deepEqual(guard.expiry()?.asOf, databaseTime(time.now));
  });

  it("measures at its last renewal, not at the current time", () => {
    const { guard, time } = guardAt();
    for (let ms = 0; ms <= LEASE; ms += 100) {
      time.now += 100;
      guard.noteRenewal(databaseTime(time.now));
    }
    const renewedAt = time.now;
    time.now += GAP;
    assert.deepEqual(guard.expiry()?.asOf, databaseTime(renewedAt));
    time.now += 1;
    assert.equal(guard.expiry(), undefined);
  });
});
