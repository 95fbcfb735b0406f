import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import type { PollFindings } from "../store/store.ts";
import { Poller } from "./poller.ts";

const NOTHING: PollFindings = {
  commands: false,
  classes: "c1",
  queues: "q1",
  workerPauses: "w1",
  queueLimits: false,
  circuits: false,
  keyLimits: false,
  rates: false,
  dueTasks: false,
  dependencyEnds: false,
  batchCancels: false,
  pools: false,
};

/** A poller that finds this, or whose look fails; answers what it called. */
function pollerFor(found: PollFindings | Error, known: { limits?: boolean; allClosed?: boolean } = {}) {
  const calls: string[] = [];
  const poller = new Poller({
    schedulerId: "s-1",
    control: {
      retryCommands: () => void calls.push("retry commands"),
      runCommands: async (schedulerId, superseded) => {
        calls.push(`commands of ${schedulerId}`);
        superseded(7);
      },
    },
    terminator: { dropSuperseded: (id) => void calls.push(`superseded ${id}`) },
    classes: { learnsAfter: 30, learn: async (fingerprint) => void calls.push(`learn ${fingerprint}`) },
    pausedQueues: { refreshIfChanged: async (fingerprint) => void calls.push(`paused ${fingerprint}`) },
    workerPauses: {
      refreshIfChanged: async (fingerprint) => void calls.push(`paused workers ${fingerprint}`),
    },
    launchStops: { refresh: async () => void calls.push("kills") },
    quarantines: { refresh: async () => void calls.push("quarantines") },
    queueLimits: { none: !known.limits, refresh: async () => void calls.push("limits") },
    circuits: {
      allClosed: known.allClosed ?? true,
      runOnce: async () => {
        calls.push("circuits");
        return 70;
      },
    },
    shareWeights: { refreshIfChanged: async (fingerprint) => void calls.push(`weights ${fingerprint}`) },
    queueBuilds: { refresh: async () => void calls.push("builds") },
    queueSettings: { refreshIfChanged: async (fingerprint) => void calls.push(`settings ${fingerprint}`) },
    concurrencyKeys: { refresh: async (_, limits) => void calls.push(`keys ${limits}`) },
    strictOrders: { refresh: async () => void calls.push("orders") },
    rateLimits: {
      refresh: async () => void calls.push("rates"),
      refreshEmpty: () => void calls.push("no rates"),
    },
    store: {
      poll: async (schedulerId, afterClassId) => {
        calls.push(`poll ${schedulerId} ${afterClassId}`);
        if (found instanceof Error) throw found;
        return found;
      },
      pausedQueues: async () => [],
      keyStates: async () => [],
      keyOrders: async () => [],
      rateOverrides: async () => [],
      pausedKeys: async () => [],
    },
    dispatcher: { lookAgain: () => void calls.push("look again") },
    traces: { lookAtWaits: () => void calls.push("waits") },
    wake: {
      dueTasks: () => void calls.push("wake due tasks"),
      dependencyEnds: () => void calls.push("wake dependents"),
      batchCancels: () => void calls.push("wake batches"),
      pools: () => void calls.push("wake pools"),
    },
    pollIn: (delayMs) => void calls.push(`again in ${delayMs}`),
  });
  return { calls, poller };
}

describe("a poll", () => {
  it("reads everything that there is before it looks for work", async () => {
    const { calls, poller } = pollerFor({
      ...NOTHING,
      ...{ commands: true, queueLimits: true, circuits: true, keyLimits: true, rates: true },
      ...{ dueTasks: true, dependencyEnds: true, batchCancels: true, pools: true },
    });
    await poller.runOnce();
    assert.deepEqual(calls, [
      "poll s-1 30",
      ...["wake due tasks", "wake dependents", "wake batches", "wake pools"],
      ...["commands of s-1", "superseded 7", "learn c1"],
      ...[
        "paused q1",
        "paused workers w1",
        "kills",
        "quarantines",
        "limits",
        "weights q1",
        "settings q1",
        "builds",
      ],
      ...["circuits", "keys true", "orders", "rates", "look again", "waits", "again in 70"],
    ]);
  });

  it("reads nothing else when there is nothing", async () => {
    const { calls, poller } = pollerFor(NOTHING);
    await poller.runOnce();
    assert.deepEqual(calls, [
      ...[
        "poll s-1 30",
        "retry commands",
        "learn c1",
        "paused q1",
        "paused workers w1",
        "kills",
        "quarantines",
      ],
      ...["weights q1", "settings q1", "builds", "keys false", "orders", "no rates", "look again", "waits"],
    ]);
  });

  it("finds out that the last limit and the last open circuit are gone", async () => {
    const { calls, poller } = pollerFor(NOTHING, { limits: true, allClosed: false });
    await poller.runOnce();
    assert.ok(calls.includes("limits"));
    assert.ok(calls.includes("circuits"));
  });

  it("wakes every service when it cannot look, unless the database is away", async () => {
    const refused = pollerFor(new Error("permission denied"));
    await assert.rejects(refused.poller.runOnce(), /permission denied/);
    assert.deepEqual(refused.calls.slice(1), [
      "wake due tasks",
      "wake dependents",
      "wake batches",
      "wake pools",
    ]);
    const away = pollerFor(new DatabaseUnavailableError("away", false, undefined));
    await assert.rejects(away.poller.runOnce(), /away/);
    assert.deepEqual(away.calls, ["poll s-1 30"]);
  });
});
