import assert from "node:assert/strict";
import { test } from "node:test";
import { costAmount } from "./cost.ts";

test("name=amount is a whole amount of a capacity, and repeats add up", () => {
  assert.deepEqual(costAmount("gpu_memory_mb=8000", costAmount("slots=2")), {
    slots: 2n,
    gpu_memory_mb: 8_000n,
  });
  for (const text of ["gpu", "gpu=", "=1", "gpu=1.5", "gpu=-1", "gpu=8000MB", "a=b=1"])
    assert.throws(() => costAmount(text), /is not name=amount with a whole amount/, text);
});
