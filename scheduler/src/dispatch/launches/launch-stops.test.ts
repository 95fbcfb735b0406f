import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LaunchStop } from "../../domain/workers/launch.ts";
import type { OpenStop } from "../../store/store.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { recordedLog } from "../testing/recorded-log.ts";
import { LaunchStops } from "./launch-stops.ts";

const REQUEST = { reason: "hangs (by ada)", graceMs: 10_000, restart: false };

function setUp() {
  const clock = new ManualClock();
  const rows = new Map<string, LaunchStop>();
  const sent: string[] = [];
  let reads = 0;
  const counters = { workerKills: 0 };
  const stops = new LaunchStops({
    store: {
      requestStop: async (launchId, request) => {
        if (launchId === "ended") return undefined;
        const number = (rows.get(launchId)?.number ?? 0) + 1;
        const stop = { ...request, number, time: new Date(0) };
        rows.set(launchId, stop);
        return stop;
      },
      openStops: async (): Promise<OpenStop[]> => {
        reads += 1;
        return [...rows].map(([launchId, stop]) => ({ launchId, stop }));
      },
      notify: async ({ kind }) => void sent.push(kind),
    },
    clock,
    log: recordedLog().log,
    counters,
  });
  const { signal } = new AbortController();
  return {
    ...{ stops, clock, rows, sent, signal, counters },
    reads: () => reads,
    wait: (seen: number, waitMs = 8_000) => stops.wait("l-1", seen, waitMs, signal),
  };
}

describe("requests to end launches", () => {
  it("reach a supervisor that waits here at once, and other schedulers by a hint", async () => {
    const { stops, sent, counters, wait } = setUp();
    const waited = wait(0);
    await stops.request({ launchId: "l-1", workerId: "w" }, REQUEST);
    assert.equal((await waited)?.reason, "hangs (by ada)");
    assert.deepEqual([sent, counters.workerKills, stops.waiting], [["queue"], 1, 0]);
  });

  it("of another scheduler are found by the next poll, which reads only while a supervisor waits", async () => {
    const { stops, rows, reads, wait } = setUp();
    rows.set("l-1", { ...REQUEST, number: 1, time: new Date(0) });
    await stops.refresh();
    assert.equal(reads(), 0);
    const waited = wait(0);
    await stops.refresh();
    assert.equal((await waited)?.number, 1);
  });

  it("that were received before do not end a wait", async () => {
    const { stops, clock, wait } = setUp();
    await stops.request({ launchId: "l-1", workerId: "w" }, REQUEST);
    const waited = wait(1);
    await stops.refresh();
    assert.equal(stops.waiting, 1);
    await clock.pass(8_000);
    assert.equal(await waited, undefined);
    const again = wait(1);
    await stops.request({ launchId: "l-1", workerId: "w" }, { ...REQUEST, graceMs: 0 });
    assert.equal((await again)?.graceMs, 0);
  });

  it("for a launch that has ended are not recorded", async () => {
    const { stops, sent, counters } = setUp();
    assert.equal(await stops.request({ launchId: "ended", workerId: "w" }, REQUEST), undefined);
    assert.deepEqual([sent, counters.workerKills], [[], 0]);
  });

  it("are waited for no longer than the caller stays", async () => {
    const { stops } = setUp();
    const caller = new AbortController();
    const waited = stops.wait("l-1", 0, 8_000, caller.signal);
    caller.abort();
    assert.equal(await waited, undefined);
    assert.equal(stops.waiting, 0);
  });
});
