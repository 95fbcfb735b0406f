import assert from "node:assert/strict";
import { test } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import { LeaseRenewer } from "./lease-renewer.ts";

const AT = new Date(1_000);

for (const { starvedMs, clockSetMs, logged, shortened = [] } of [
  { starvedMs: undefined, clockSetMs: undefined, logged: [] },
  { starvedMs: 9_000, clockSetMs: undefined, logged: ["scheduler.starved"] },
  { starvedMs: undefined, clockSetMs: 3_600_000, logged: ["database.clock_set"] },
  {
    ...{ starvedMs: undefined, clockSetMs: -3_600_000 },
    ...{ logged: ["database.clock_set"], shortened: ["shorten"] },
  },
]) {
  test(`a renewal after a gap of ${starvedMs ?? "no"} ms, with a clock that was set by ${clockSetMs ?? "no"} ms`, async () => {
    const { log, events } = recordedLog();
    const calls: unknown[] = [];
    await new LeaseRenewer({
      liveness: { renewLeases: async () => AT, shortenLeases: async () => void calls.push("shorten") },
      expiryGuard: {
        noteRenewal: (at) => {
          calls.push(at);
          return { starvedMs, clockSetMs };
        },
      },
      log,
      onRenewed: () => calls.push("reap"),
    }).runOnce();
    assert.deepEqual(calls, [AT, ...shortened, "reap"], "the guard has the renewal before the reaper runs");
    assert.deepEqual(events, logged);
  });
}

test("a renewal that failed lets nothing expire", async () => {
  const never = () => assert.fail("no renewal was made");
  const renewer = new LeaseRenewer({
    liveness: { renewLeases: () => Promise.reject(new Error("away")), shortenLeases: never },
    expiryGuard: { noteRenewal: never },
    log: recordedLog().log,
    onRenewed: never,
  });
  await assert.rejects(renewer.runOnce(), /away/);
});
