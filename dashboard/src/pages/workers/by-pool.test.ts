import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WorkerState } from "@muster/protocol";
import { byPool } from "./by-pool.ts";

describe("workers by pool", () => {
  it("are in the order of their need and of the numbers in their names", () => {
    const worker = (id: string, pool: string, state: WorkerState = WorkerState.READY) => ({
      id,
      pool,
      state,
    });
    const pools = byPool([
      worker("x", ""),
      worker("gpu-10", "gpu"),
      worker("gpu-2", "gpu"),
      worker("gpu-30", "gpu", WorkerState.SUSPECT),
      worker("c", "cpu"),
    ]);
    assert.deepEqual(
      pools.map(({ pool, members }) => [pool, ...members.map(({ id }) => id)]),
      [
        ["cpu", "c"],
        ["gpu", "gpu-30", "gpu-2", "gpu-10"],
        ["", "x"],
      ],
    );
  });
});
