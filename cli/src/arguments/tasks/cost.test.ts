import assert from "node:assert/strict";
import { test } from "node:test";
import { costAmount, costRaise } from "./cost.ts";

test("name=amount is a whole amount of a capacity, and repeats add up", () => {
  assert.deepEqual(costAmount("gpu_memory_mb=8000", costAmount("slots=2")), {
    slots: 2n,
    gpu_memory_mb: 8_000n,
  });
  for (const text of ["gpu", "gpu=", "=1", "gpu=1.5", "gpu=-1", "gpu=8000MB", "a=b=1"])
    assert.throws(() => costAmount(text), /is not name=amount with a whole amount/, text);
});

test("name=x2 and name=+4000 raise a cost, up to a limit", () => {
  const raises = costRaise("gpu=x1.5,max=24000", costRaise("memory_mb=+4000"));
  assert.deepEqual(
    Object.entries(raises).map(([name, { growth, maxAmount }]) => [
      name,
      growth.case,
      growth.value,
      maxAmount,
    ]),
    [
      ["memory_mb", "addition", 4_000n, 0n],
      ["gpu", "factor", 1.5, 24_000n],
    ],
  );
  for (const text of ["gpu", "gpu=2", "gpu=x", "=x2", "gpu=+1.5", "gpu=x-1", "gpu=x2,max=", "gpu=x2,24000"])
    assert.throws(() => costRaise(text), /is neither name=xFACTOR nor name=\+AMOUNT/, text);
});
