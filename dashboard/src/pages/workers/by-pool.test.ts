import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { WorkerState } from "@muster/protocol";
import { byPool, leaseText, statesOf } from "./by-pool.ts";

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

describe("workers of a pool", () => {
  it("are counted by state, those that need attention first", () => {
    const states = [WorkerState.READY, WorkerState.SUSPECT, WorkerState.READY];
    assert.equal(statesOf(states.map((state) => ({ state }))), "1 suspect, 2 ready");
  });

  it("count down to suspect from each heartbeat", () => {
    const ready = { state: WorkerState.READY };
    const lease = { beat: 10_000, end: 40_000 };
    assert.deepEqual(leaseText(ready, lease, 25_000), {
      text: "suspect in 15 s without a heartbeat",
      share: 0.5,
    });
    assert.equal(leaseText(ready, lease, 9_000).share, 1, "the clock of the browser is behind");
    assert.equal(leaseText(ready, lease, 42_500).text, "a heartbeat is due");
    const suspect = { state: WorkerState.SUSPECT };
    assert.deepEqual(leaseText(suspect, lease, 42_500), { text: "suspect since 2 s", share: 0 });
  });
});
