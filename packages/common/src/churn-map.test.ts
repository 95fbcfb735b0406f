import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import fc from "fast-check";
import { ChurnMap } from "./churn-map.ts";

/**
 * Entries at a time, and in all. Few of them are alive when a collection comes, which may make all that is alive old at
 * once when it likes to.
 */
const LIVE = 100;
const CHURN = 20_000;

const COLLECT_EVERY = 1_000;

/** Most bytes that young collections left behind while entries of a kilobyte came and went. */
function retainedBy(map: ChurnMap<number, unknown> | Map<number, unknown>): number {
  setFlagsFromString("--expose-gc");
  const gc: (options?: { type: "minor" }) => void = runInNewContext("gc");
  const pass = (id: number) => {
    map.set(id, new Array(120).fill(id));
    if (id >= LIVE) map.delete(id - LIVE);
  };
  for (let id = 0; id < 2 * LIVE; id++) pass(id);
  gc();
  const before = process.memoryUsage().heapUsed;
  let most = 0;
  for (let id = 2 * LIVE; id < CHURN; id++) {
    pass(id);
    if (id % COLLECT_EVERY !== 0) continue;
    gc({ type: "minor" });
    most = Math.max(most, process.memoryUsage().heapUsed - before);
  }
  return most;
}

describe("a churn map", () => {
  it("is a map", () => {
    const steps = fc.array(
      fc.record({ key: fc.nat(40), value: fc.option(fc.nat(), { nil: undefined, freq: 2 }) }),
      { maxLength: 4_000, size: "max" },
    );
    fc.assert(
      fc.property(steps, (all) => {
        const mine = new ChurnMap<number, number>();
        const model = new Map<number, number>();
        for (const { key, value } of all) {
          if (value === undefined) assert.equal(mine.delete(key), model.delete(key));
          else {
            mine.set(key, value);
            model.set(key, value);
          }
          assert.equal(mine.get(key), model.get(key));
          assert.equal(mine.has(key), model.has(key));
          assert.equal(mine.size, model.size);
        }
        assert.deepEqual([...mine], [...model]);
        assert.deepEqual([...mine.keys()], [...model.keys()]);
        assert.deepEqual([...mine.values()], [...model.values()]);
        mine.clear();
        assert.equal(mine.size, 0);
      }),
      { numRuns: 20 },
    );
  });

  it("lets young collections have what was deleted, which a Map does not", () => {
    const mine = retainedBy(new ChurnMap());
    assert.ok(mine < 5 * 1024 * 1024, `${mine} bytes`);
    // When this fails, V8 has learned it, and the class is no longer needed.
    const its = retainedBy(new Map());
    assert.ok(its > 8 * 1024 * 1024, `${its} bytes`);
  });
});
