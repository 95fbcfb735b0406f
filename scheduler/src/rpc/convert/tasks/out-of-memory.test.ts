import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OutOfMemoryChangeSchema } from "@muster/protocol";
import { fromOutOfMemoryChange, toOutOfMemoryChange } from "./out-of-memory.ts";

type Given = MessageInitShape<typeof OutOfMemoryChangeSchema>;

const factor = (value: number) => ({ growth: { case: "factor" as const, value } });
const addition = (value: bigint) => ({ growth: { case: "addition" as const, value } });

function converted(given: Given, cost: Record<string, bigint> = {}) {
  const faults: string[] = [];
  const report = (field: string, description: string) => void faults.push(`${field} ${description}`);
  return { change: toOutOfMemoryChange(create(OutOfMemoryChangeSchema, given), cost, report), faults };
}

describe("a change after an out-of-memory death", () => {
  it("survives the way to the domain and back", () => {
    const given = {
      labels: { memory: "large" },
      cost: { slots: factor(2), disk_mb: { ...addition(500n), maxAmount: 2_000n }, ram_mb: factor(1.5) },
    };
    const { change, faults } = converted(given, { ram_mb: 1_000n });
    assert.deepEqual(faults, []);
    assert.deepEqual(change.cost, [
      { name: "disk_mb", addition: 500, most: 2_000 },
      { name: "ram_mb", factor: 1.5 },
      { name: "slots", factor: 2 },
    ]);
    const again = create(OutOfMemoryChangeSchema, fromOutOfMemoryChange(change));
    assert.deepEqual(again, create(OutOfMemoryChangeSchema, given));
  });

  it("is refused by the name of what is wrong, with what is allowed", () => {
    const at = "retry_policy.on_out_of_memory";
    const cases: [Given, RegExp][] = [
      [{}, /^retry_policy.on_out_of_memory changes nothing; give labels or a cost$/],
      [{ cost: { ram: factor(1) } }, /\["ram"\]\.factor 1 is not more than 1 and at most 100$/],
      [{ cost: { ram: factor(Number.NaN) } }, /\.factor NaN is not/],
      [{ cost: { ram: factor(101) } }, /\.factor 101 is not/],
      [
        { cost: { disk: factor(2) } },
        /\["disk"\]\.factor multiplies nothing: requirements\.cost does not have/,
      ],
      [{ cost: { ram: addition(0n) } }, /\.addition 0 is not between 1 and 1000000000000$/],
      [{ cost: { slots: addition(10_001n) } }, /\.addition 10001 is not between 1 and 10000$/],
      [{ cost: { ram: {} } }, /\["ram"\] has neither a factor nor an addition/],
      [
        { cost: { ram: { ...factor(2), maxAmount: 7n } } },
        /\.max_amount 7 is not between 8 and 1000000000000$/,
      ],
      [{ cost: { "no name": addition(1n) } }, /\.cost "no name" is no name of a capacity/],
      [
        { cost: Object.fromEntries(Array.from({ length: 16 }, (_, n) => [`c${n}`, addition(1n)])) },
        /\.cost and requirements\.cost name 17 capacities together; at most 16 are allowed$/,
      ],
    ];
    for (const [given, wanted] of cases) {
      const { faults } = converted(given, { ram: 8n });
      assert.equal(faults.length, 1, faults.join("; "));
      assert.match(faults[0] ?? "", wanted);
      assert.ok(faults[0]?.startsWith(at));
    }
  });
});
