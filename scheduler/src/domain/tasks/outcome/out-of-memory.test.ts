import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Requirements } from "../task.ts";
import { changeRequirements } from "./out-of-memory.ts";
import type { OutOfMemoryChange } from "./retry.ts";

const BASE: Requirements = { labels: { zone: "eu" }, resources: [] };

describe("requirements after an out-of-memory death", () => {
  it("have the further labels, which are named once", () => {
    const change: OutOfMemoryChange = { labels: { memory: "large", zone: "eu" } };
    const once = changeRequirements(BASE, change);
    assert.deepEqual(once.requirements, { ...BASE, labels: { zone: "eu", memory: "large" } });
    assert.deepEqual([once.labelsAdded, once.costRaised], ["memory=large", undefined]);
    const twice = changeRequirements(once.requirements, change);
    assert.deepEqual(twice.requirements, once.requirements);
    assert.equal(twice.labelsAdded, undefined);
  });

  it("cost more each time, by a factor or an addition, up to the limit", () => {
    const cost = [
      { name: "disk_mb", addition: 100 },
      { name: "ram_mb", factor: 2, most: 3_500 },
      { name: "slots", factor: 1.5 },
    ];
    const seen: (string | undefined)[] = [];
    let requirements: Requirements = { ...BASE, cost: [{ name: "ram_mb", amount: 1_000 }] };
    for (let death = 0; death < 3; death++) {
      const next = changeRequirements(requirements, { cost });
      requirements = next.requirements;
      seen.push(next.costRaised);
    }
    assert.deepEqual(seen, [
      "disk_mb from 0 to 100, ram_mb from 1000 to 2000, slots from 1 to 2",
      "disk_mb from 100 to 200, ram_mb from 2000 to 3500, slots from 2 to 3",
      "disk_mb from 200 to 300, slots from 3 to 5",
    ]);
    assert.deepEqual(requirements, {
      ...BASE,
      cost: [
        { name: "disk_mb", amount: 300 },
        { name: "ram_mb", amount: 3_500 },
        { name: "slots", amount: 5 },
      ],
    });
  });

  it("round up, and never exceed what a cost may be or fall", () => {
    const after = (amount: number, factor: number, name = "ram_mb", most?: number) =>
      changeRequirements(
        { ...BASE, cost: [{ name, amount }] },
        { cost: [{ name, factor, ...(most === undefined ? {} : { most }) }] },
      ).requirements.cost?.[0]?.amount;
    assert.equal(after(10, 1.1), 11, "the product is 11.000000000000002");
    assert.equal(after(3, 1.5), 5);
    assert.equal(after(900_000_000_000, 100), 1_000_000_000_000);
    assert.equal(after(9_000, 2, "slots"), 10_000);
    assert.equal(after(500, 2, "ram_mb", 400), 500);
  });
});
