import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CapacityUse, type TaskCost } from "./capacity-use.ts";

const costs = fc.option(
  fc.record(
    { slots: fc.integer({ min: 1, max: 3 }), gpu: fc.nat(10), ram: fc.nat(10) },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);

test("handlers that run together never take more than there is, and give back what they took", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(costs, fc.boolean()), { maxLength: 200 }), (steps) => {
      const use = new CapacityUse(4, { gpu: 15 });
      const running: TaskCost[] = [];
      for (const [cost, starts] of steps) {
        if (starts && use.hasRoom(cost)) {
          use.take(cost);
          running.push(cost);
        } else if (!starts && running.length > 0) use.give(running.shift());
        const sum = (name: "gpu" | "ram") => running.reduce((all, each) => all + (each?.[name] ?? 0), 0);
        const slots = running.reduce((all, each) => all + (each?.slots ?? 1), 0);
        assert.ok(slots <= 4 && sum("gpu") <= 15 && sum("ram") === 0, JSON.stringify(running));
        assert.equal(use.freeSlots, 4 - slots);
      }
      for (const cost of running) use.give(cost);
      assert.ok(use.hasRoom({ slots: 4, gpu: 15 }));
    }),
  );
});

test("what can never run is known, and 0 of a capacity that the worker lacks can", () => {
  const use = new CapacityUse(2, { gpu: 8 });
  assert.deepEqual(
    [undefined, { gpu: 8, ram: 0 }, { gpu: 9 }, { ram: 1 }, { slots: 3 }, { constructor: 1 }].map((cost) =>
      use.fits(cost as TaskCost),
    ),
    [true, true, false, false, false, false],
  );
});
