import assert from "node:assert/strict";
import { test } from "node:test";
import type { GoneSession } from "../../store/store.ts";
import { LeaseReaper } from "./lease-reaper.ts";

const AT = new Date(1_000);

/** A reaper whose guard answers the times in turn and then repeats the last one, and whose store has that many expired sessions. */
function setUp({ times, expired }: { times: readonly (Date | undefined)[]; expired: number }) {
  const calls: string[] = [];
  let left = expired;
  let asked = 0;
  const reaper = new LeaseReaper({
    expiryGuard: { expiryTime: () => times[Math.min(asked++, times.length - 1)] },
    leases: { graceMs: 5 },
    retryPolicies: { decide: () => assert.fail("no session holds an attempt") },
    eventWriter: { flush: async () => calls.push("flush") > 0 },
    terminator: { recordTermination: (_, reason) => void calls.push(reason) },
    launches: {
      giveUp: async (expiryTime) => void calls.push(expiryTime() ? "give up" : "keep launches"),
    },
    store: {
      reapSessions: async (asOf, graceMs, limit) => {
        assert.deepEqual([asOf, graceMs], [AT, 5]);
        const count = Math.min(left, limit);
        left -= count;
        calls.push(`reap ${count}`);
        return Array.from({ length: count }, () => ({}) as GoneSession);
      },
    },
  });
  return { reaper, calls };
}

test("no lease expires while the guard forbids it", async () => {
  const { reaper, calls } = setUp({ times: [undefined], expired: 3 });
  await reaper.runOnce();
  assert.deepEqual(calls, ["keep launches"]);
});

test("events are written before the requeue, and a flush that took too long stops the run", async () => {
  const { reaper, calls } = setUp({ times: [AT, undefined], expired: 3 });
  await reaper.runOnce();
  assert.deepEqual(calls, ["flush", "keep launches"]);
});

test("sessions are reaped in batches until a batch is not full", async () => {
  const { reaper, calls } = setUp({ times: [AT], expired: 101 });
  await reaper.runOnce();
  const lost = (count: number) => Array.from({ length: count }, () => "lost");
  assert.deepEqual(calls, ["flush", "reap 100", ...lost(100), "reap 1", "lost", "give up"]);
});
