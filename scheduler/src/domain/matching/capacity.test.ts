import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Amount, costInWords, fits, hasRoom, shortages, slotsOf, toCost, unused } from "./capacity.ts";
import { isKeptFrom } from "./kept-room.ts";
import { findFitting, type KnownSize, neverFits } from "./known-size.ts";

const amounts = fc.uniqueArray(
  fc.record({ name: fc.constantFrom("slots", "gpu", "ram"), amount: fc.nat(6) }),
  { selector: ({ name }) => name },
);
const worker = fc.record({
  slots: fc.integer({ min: 1, max: 6 }),
  credit: fc.integer({ min: -2, max: 6 }),
  capacities: fc
    .dictionary(fc.constantFrom("gpu", "ram"), fc.record({ total: fc.nat(6), used: fc.nat(8) }))
    .map((each) => new Map(Object.entries(each))),
});

describe("costs and capacities", () => {
  it("a cost has one form, whatever order and zeros it was given with", () => {
    fc.assert(
      fc.property(amounts, (given) => {
        const cost = toCost(given);
        assert.deepEqual(toCost(given.toReversed()), cost);
        assert.deepEqual(cost && toCost(cost), cost);
        assert.ok(cost === undefined || cost.every(({ amount }) => amount > 0));
      }),
    );
    const one: Amount[] = [
      { name: "slots", amount: 1 },
      { name: "gpu", amount: 0 },
    ];
    assert.deepEqual([toCost(one), slotsOf(toCost(one)), costInWords(undefined)], [undefined, 1, "1 slot"]);
  });

  it("a worker has room exactly when nothing is short, and then it is large enough unless it holds less than nothing", () => {
    fc.assert(
      fc.property(amounts, worker, (given, holder) => {
        const cost = toCost(given);
        if (cost === undefined) return;
        const slotsFit = slotsOf(cost) <= holder.credit;
        assert.equal(hasRoom(cost, holder) && slotsFit, shortages(cost, holder).length === 0);
        if (hasRoom(cost, { ...holder, credit: Math.min(holder.credit, holder.slots) }))
          assert.ok(fits(cost, holder));
        for (const { needed, free, total } of shortages(cost, holder))
          assert.ok(free >= 0 && free <= total && needed > 0);
      }),
    );
  });

  it("a task never fits exactly when workers are known and each of them is too small", () => {
    const sizes = fc.array(
      fc.record({
        slots: fc.integer({ min: 1, max: 6 }),
        gpu: fc.nat(6),
        goneMs: fc.option(fc.nat(9), { nil: undefined }),
      }),
      { maxLength: 4 },
    );
    fc.assert(
      fc.property(amounts, sizes, (given, plans) => {
        const cost = toCost(given);
        const known = plans.map(
          ({ slots, gpu, goneMs }, n): KnownSize => ({
            workerId: `w-${n}`,
            slots,
            capacities: { gpu },
            goneMs,
          }),
        );
        const found = neverFits(cost, known);
        const fitting = known.filter(
          ({ slots, capacities }) => cost && fits(cost, { slots, capacities: unused(capacities) }),
        );
        assert.equal(found !== undefined, cost !== undefined && known.length > 0 && fitting.length === 0);
        for (const { most, largest } of found ?? []) assert.ok(most >= 0 && known.includes(largest));
        const first = cost && findFitting(cost, known);
        if (first)
          assert.ok(first.goneMs === undefined || fitting.every(({ goneMs }) => goneMs !== undefined));
      }),
    );
  });

  it("kept room is kept from tasks that go after, take of it, and do not leave enough", () => {
    const cost = [{ name: "gpu", amount: 6 }];
    const share = { queue: "default", fairnessKey: undefined, ageingMs: 1_000 };
    const keptRoom = {
      ...{ id: 10, priority: 0, readyAt: 5_000, classId: 1, type: "train", ...share, cost, until: 100 },
    };
    const holder = { slots: 4, credit: 2, capacities: new Map([["gpu", { total: 8, used: 1 }]]), keptRoom };
    const none = { labels: {}, resources: [] };
    const plain = { id: 2, queue: "default", requirements: none };
    const small = { ...plain, id: 3, requirements: { ...none, cost: [{ name: "gpu", amount: 2 }] } };
    const later = { id: 11, priority: 0 };
    assert.equal(isKeptFrom(holder, small, later, 0), true);
    assert.equal(isKeptFrom(holder, small, undefined, 0), true, "a new task");
    assert.equal(isKeptFrom(holder, small, { id: 9, priority: 0 }, 0), false, "it goes before");
    const [soon, late] = [
      { id: 11, priority: 1, readyAt: 5_900 },
      { id: 11, priority: 1, readyAt: 6_100 },
    ];
    assert.equal(isKeptFrom(holder, small, soon, 0), false, "its priority is higher");
    assert.equal(isKeptFrom(holder, small, late, 0), true, "its priority is worth less than the wait");
    const old = { id: 9, priority: 1_000, readyAt: 0 };
    assert.equal(
      isKeptFrom(holder, { ...small, queue: "bulk" }, old, 0),
      true,
      "another queue has its turn after",
    );
    const keyed = { ...small, fairness: { key: "tenant-1", weight: 1 } };
    assert.equal(isKeptFrom(holder, keyed, old, 0), true, "so has another fairness key");
    assert.equal(isKeptFrom(holder, plain, later, 0), false, "it leaves a slot");
    assert.equal(isKeptFrom({ ...holder, credit: 1 }, plain, later, 0), true, "it takes the last slot");
    assert.equal(isKeptFrom(holder, { ...small, id: 1 }, later, 0), false, "its own class");
    assert.equal(isKeptFrom(holder, small, later, 100), false, "the time is over");
  });
});
