import assert from "node:assert/strict";
import { test } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import { LeaseRenewer } from "./lease-renewer.ts";

const AT = new Date(1_000);

for (const { gapMs, logged } of [
  { gapMs: undefined, logged: [] },
  { gapMs: 9_000, logged: ["scheduler.starved"] },
]) {
  test(`a renewal after a gap of ${gapMs ?? "no"} ms`, async () => {
    const { log, events } = recordedLog();
    const calls: unknown[] = [];
    await new LeaseRenewer({
      liveness: { renewLeases: async () => AT },
      expiryGuard: {
        noteRenewal: (at) => {
          calls.push(at);
          return gapMs;
        },
      },
      log,
      onRenewed: () => calls.push("reap"),
    }).runOnce();
    assert.deepEqual(calls, [AT, "reap"], "the guard has the renewal before the reaper runs");
    assert.deepEqual(events, logged);
  });
}

test("a renewal that failed lets nothing expire", async () => {
  const never = () => assert.fail("no renewal was made");
  const renewer = new LeaseRenewer({
    liveness: { renewLeases: () => Promise.reject(new Error("away")) },
    expiryGuard: { noteRenewal: never },
    log: recordedLog().log,
    onRenewed: never,
  });
  await assert.rejects(renewer.runOnce(), /away/);
});
