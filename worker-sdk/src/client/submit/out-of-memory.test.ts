import assert from "node:assert/strict";
import { test } from "node:test";
import { OptionsError } from "../../options/options-error.ts";
import type { CostGrowth, OutOfMemoryOptions } from "./submit-spec.ts";
import { encodeTaskSpec } from "./task-spec.ts";

const encode = (onOutOfMemory: OutOfMemoryOptions) =>
  encodeTaskSpec({ type: "t", retry: { onOutOfMemory } }).retryPolicy?.onOutOfMemory;

test("a change after an out-of-memory death is sent as a factor or an addition, with the limit", () => {
  const sent = encode({
    labels: { memory: "large" },
    cost: { memory_mb: "x2", gpu_mb: { by: "x1.5", max: 24_000 }, disk_mb: "+4000" },
  });
  assert.deepEqual(sent?.labels, { memory: "large" });
  const raises = Object.entries(sent?.cost ?? {}).map(([name, { growth, maxAmount }]) => [
    name,
    growth.case,
    growth.value,
    maxAmount,
  ]);
  assert.deepEqual(raises, [
    ["memory_mb", "factor", 2, 0n],
    ["gpu_mb", "factor", 1.5, 24_000n],
    ["disk_mb", "addition", 4_000n, 0n],
  ]);
});

test("a growth that is neither a factor nor an addition is refused by its name", () => {
  for (const by of ["2x", "double", "x", "x-2", "+1.5", "x1e3", "-5", 2, null]) {
    const cost = { memory_mb: by as CostGrowth };
    assert.throws(
      () => encode({ cost }),
      (error) =>
        error instanceof OptionsError &&
        /onOutOfMemory\.cost\.memory_mb: .* is neither a factor, for example "x2", nor an addition/.test(
          error.message,
        ),
    );
  }
  assert.throws(
    () => encode({ cost: { gpu: { by: "x2", max: 1.5 } } }),
    /cost\.gpu\.max: 1\.5 is not an integer/,
  );
});
