import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { Share, VirtualTime } from "./virtual-time.ts";

class Weighted extends Share {
  weight: number;
  starts = 0;

  constructor(weight: number) {
    super();
    this.weight = weight;
  }
}

/** Starts the share whose turn it is, and returns it. */
function start(time: VirtualTime<Weighted>, group = 0): Weighted {
  const { first } = time;
  assert.ok(first);
  first.starts++;
  time.start(first, group);
  return first;
}

describe("virtual time", () => {
  it("gives starts by weight, within one start of each over any time in which all have work", () => {
    const weights = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 8 });
    fc.assert(
      fc.property(weights, fc.nat(300), fc.nat(300), (given, before, during) => {
        const time = new VirtualTime<Weighted>();
        const shares = given.map((weight) => new Weighted(weight));
        for (const share of shares) time.enter(share);
        for (let n = 0; n < before; n++) start(time);
        for (const share of shares) share.starts = 0;
        for (let n = 0; n < during; n++) start(time);
        for (const one of shares)
          for (const other of shares) {
            const apart = Math.abs(one.starts / one.weight - other.starts / other.weight);
            assert.ok(apart <= one.cost + other.cost + 1e-6, `${apart} apart`);
          }
      }),
    );
  });

  it("gives weights 1 and 3 one and three of every four starts", () => {
    const time = new VirtualTime<Weighted>();
    const [light, heavy] = [new Weighted(1), new Weighted(3)];
    time.enter(light);
    time.enter(heavy);
    for (let round = 1; round <= 100; round++) {
      for (let n = 0; n < 4; n++) start(time);
      assert.deepEqual([light.starts, heavy.starts], [round, 3 * round]);
    }
  });

  it("gives no credit for the time without work, and keeps no debt", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 500 }), (weight, alone) => {
        const time = new VirtualTime<Weighted>();
        const [busy, idle] = [new Weighted(1), new Weighted(weight)];
        time.enter(busy);
        for (let n = 0; n < alone; n++) start(time);
        time.enter(idle);
        busy.starts = 0;
        for (let n = 0; n < 10 * (weight + 1); n++) start(time);
        assert.ok(Math.abs(busy.starts - 10) <= 1, `${busy.starts} of ${10 * (weight + 1)}`);
        // What had the workers for itself is not behind afterwards.
        time.leave(idle);
        for (let n = 0; n < alone; n++) start(time);
        time.leave(busy);
        time.enter(idle);
        time.enter(busy);
        busy.starts = 0;
        for (let n = 0; n < 10 * (weight + 1); n++) start(time);
        assert.ok(Math.abs(busy.starts - 10) <= 2, `${busy.starts} of ${10 * (weight + 1)}`);
      }),
    );
  });

  it("a share that comes with work again and again does not starve the others", () => {
    const time = new VirtualTime<Weighted>();
    const bulk = new Weighted(1);
    time.enter(bulk);
    let others = 0;
    for (let n = 0; n < 1_000; n++) {
      // Two new ones for each start: more than can be started.
      time.enter(new Weighted(1));
      time.enter(new Weighted(1));
      const started = start(time);
      if (started === bulk) continue;
      others++;
      time.leave(started);
    }
    assert.ok(bulk.starts >= 6, `${bulk.starts} of ${others}`);
  });

  it("a share does not catch up for the starts of others at workers that do not serve it", () => {
    const time = new VirtualTime<Weighted>();
    const [everywhere, here] = [new Weighted(1), new Weighted(1)];
    time.enter(everywhere);
    time.enter(here);
    // The first one has the workers of group 1 for itself.
    for (let n = 0; n < 1_000; n++) time.start(everywhere, 1);
    // Then these serve the other one, too.
    for (const share of [everywhere, here]) share.starts = 0;
    for (let n = 0; n < 100; n++) start(time, 1);
    assert.ok(Math.abs(everywhere.starts - here.starts) <= 2, `${everywhere.starts} and ${here.starts}`);
  });

  it("applies another weight from the next start on", () => {
    const time = new VirtualTime<Weighted>();
    const [one, other] = [new Weighted(1), new Weighted(1)];
    time.enter(one);
    time.enter(other);
    for (let n = 0; n < 100; n++) start(time);
    one.weight = 9;
    time.weightChanged(one);
    one.starts = 0;
    for (let n = 0; n < 100; n++) start(time);
    assert.ok(Math.abs(one.starts - 90) <= 2, `${one.starts}`);
  });
});
