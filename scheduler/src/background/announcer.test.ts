import assert from "node:assert/strict";
import { test } from "node:test";
import type { SchedulerStatus } from "../domain/reports.ts";
import { Announcer } from "./announcer.ts";

test("an announcement carries the status of the moment, and counts the other schedulers", async () => {
  const peers = { count: 0 };
  const status = { timings: "now" } as SchedulerStatus;
  await new Announcer({
    scheduler: { id: "s-1", address: "a:1", version: "1" },
    status: () => status,
    leaseMs: 3_000,
    peers,
    store: {
      announce: async (announcement, leaseMs) => {
        assert.deepEqual(announcement, { id: "s-1", address: "a:1", version: "1", status });
        assert.equal(leaseMs, 3_000);
      },
      otherSchedulers: async (selfId) => {
        assert.equal(selfId, "s-1");
        return [
          { id: "s-2", address: "b:1" },
          { id: "s-3", address: "c:1" },
        ];
      },
    },
  }).runOnce();
  assert.equal(peers.count, 2);
});
