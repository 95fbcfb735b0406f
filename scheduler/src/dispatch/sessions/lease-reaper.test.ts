import assert from "node:assert/strict";
import { test } from "node:test";
import type { Mode } from "../../domain/mechanisms/mechanism.ts";
import type { AttemptRow, GoneSession } from "../../store/store.ts";
import { ALL_ACT } from "../mechanisms/mechanisms.ts";
import { LeaseReaper } from "./lease-reaper.ts";

const AT = new Date(1_000);

/** A reaper whose guard answers the times in turn and then repeats the last one, and whose store has that many expired sessions. */
function setUp({
  times,
  expired,
  mode = "act",
  ownOnly = false,
}: {
  times: readonly (Date | undefined)[];
  expired: number;
  mode?: Mode;
  ownOnly?: boolean;
}) {
  const calls: string[] = [];
  let left = expired;
  let asked = 0;
  const reaper = new LeaseReaper({
    expiryGuard: {
      expiry: () => {
        const asOf = times[Math.min(asked++, times.length - 1)];
        return asOf && { asOf, ownOnly };
      },
    },
    schedulerId: "s-1",
    leases: { graceMs: 5 },
    retryPolicies: { decide: () => assert.fail("no session holds an attempt") },
    mechanisms: {
      ...ALL_ACT,
      mode: () => mode,
      observed: ({ mechanism, would }, { attempt }) =>
        void calls.push(`${mechanism} ${would} t-${attempt?.taskId}`),
    },
    eventWriter: { flush: async () => calls.push("flush") > 0 },
    metricWriter: { flush: async () => undefined },
    terminator: { recordTermination: (_, reason) => void calls.push(reason) },
    launches: {
      giveUp: async (expiryTime) => void calls.push(expiryTime() ? "give up" : "keep launches"),
    },
    store: {
      observeExpired: async (_, limit) => {
        const count = Math.min(left, limit);
        left -= count;
        calls.push(`observe ${count}`);
        return Array.from({ length: count }, (_, n) => ({
          ...{ sessionId: n, workerId: `w-${n}`, silentMs: 1 },
          held: [{ taskId: n, epoch: 1 } as AttemptRow],
        }));
      },
      reapSessions: async (which, limit) => {
        assert.deepEqual(which, { asOf: AT, graceMs: 5, heldBy: ownOnly ? "s-1" : undefined });
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

test("soon after the start only its own sessions are reaped, and no launch is given up", async () => {
  const { reaper, calls } = setUp({ times: [AT], expired: 1, ownOnly: true });
  await reaper.runOnce();
  assert.deepEqual(calls, ["flush", "reap 1", "lost", "keep launches"]);
});

test("in mode observe the attempts of lost workers are recorded and nothing is reaped; in mode off nothing is read", async () => {
  const observe = setUp({ times: [AT], expired: 2, mode: "observe" });
  await observe.reaper.runOnce();
  const recorded = ["recovery requeue t-0", "recovery requeue t-1"];
  assert.deepEqual(observe.calls, ["flush", "observe 2", ...recorded, "give up"]);
  const off = setUp({ times: [AT], expired: 2, mode: "off" });
  await off.reaper.runOnce();
  assert.deepEqual(off.calls, ["give up"]);
});
