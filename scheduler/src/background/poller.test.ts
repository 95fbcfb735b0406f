import assert from "node:assert/strict";
import { test } from "node:test";
import { Poller } from "./poller.ts";

test("a poll reads commands, classes, paused queues and workers before it looks for work", async () => {
  const calls: string[] = [];
  await new Poller({
    schedulerId: "s-1",
    control: {
      runCommands: async (schedulerId, superseded) => {
        calls.push(`commands of ${schedulerId}`);
        superseded(7);
      },
    },
    terminator: { dropSuperseded: (id) => void calls.push(`superseded ${id}`) },
    classes: {
      learn: async () => void calls.push("learn"),
    },
    pausedQueues: {
      setPaused: (queues) => {
        calls.push(`paused ${queues.join()}`);
        return true;
      },
    },
    workerPauses: { refresh: async () => void calls.push("paused workers") },
    launchStops: { refresh: async () => void calls.push("kills") },
    quarantines: { refresh: async () => void calls.push("quarantines") },
    queueLimits: { refresh: async () => void calls.push("limits") },
    circuits: {
      runOnce: async () => {
        calls.push("circuits");
        return 70;
      },
    },
    shareWeights: { refresh: async () => void calls.push("weights") },
    queueSettings: { refresh: async () => void calls.push("settings") },
    concurrencyKeys: { refresh: async () => void calls.push("keys") },
    strictOrders: { refresh: async () => void calls.push("orders") },
    rateLimits: { refresh: async () => void calls.push("rates") },
    store: {
      pausedQueues: async () => ["slow"],
      keyStates: async () => [],
      keyOrders: async () => [],
      rateOverrides: async () => [],
      pausedKeys: async () => [],
    },
    dispatcher: { lookAgain: () => void calls.push("look again") },
    traces: { lookAtWaits: () => void calls.push("waits") },
    pollIn: (delayMs) => void calls.push(`again in ${delayMs}`),
  }).runOnce();
  assert.deepEqual(calls, [
    ...[
      "commands of s-1",
      "superseded 7",
      "learn",
      "paused slow",
      "paused workers",
      "kills",
      "quarantines",
      "limits",
      "weights",
      "settings",
      "circuits",
      "keys",
      "orders",
      "rates",
    ],
    ...["look again", "waits", "again in 70"],
  ]);
});
