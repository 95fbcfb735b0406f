/** Which reasons a waiting task has, in which order. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { FleetMember } from "../fleet.ts";
import type { Reason } from "../reason.ts";
import { ago, BROKE, held, member, NOW, TASK } from "../testing/fixture.ts";
import { DISPATCH, waiting } from "../testing/made-facts.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

describe("the reason for which a task waits", () => {
  const cases: readonly (readonly [string, () => Reason[], string])[] = [
    ["NO_WORKERS", () => waiting([]), "no worker ever registered"],
    [
      "NO_WORKERS",
      () =>
        waiting([], {
          gone: [member({ id: "w-0", record: { goneTime: ago(180_000), goneReason: "lost" } }).record],
        }),
      "the last worker is gone",
    ],
    ["DISPATCH_DELAYED", () => waiting([member()]), "a worker can take it"],
    [
      "ALL_SLOTS_BUSY",
      () =>
        waiting([
          member({
            candidate: { credit: 0 },
            more: { held: [held("t-3.1", "inference", 90_000)] },
          }),
        ]),
      "no slot is free",
    ],
    [
      "WORKERS_PAUSED",
      () => waiting([member({ candidate: { pauseReason: "memory" } })]),
      "the worker paused",
    ],
    ["WORKERS_DRAINING", () => waiting([member({ candidate: { draining: true } })]), "the worker drains"],
    [
      "WORKERS_STARTING",
      () => waiting([member({ state: "registered", candidate: { ready: false } })]),
      "the worker is starting",
    ],
    [
      "WORKER_SUSPECT",
      () => waiting([member({ state: "suspect", candidate: { ready: false } })]),
      "the worker does not answer",
    ],
    [
      "RESOURCE_NOT_LOADED",
      () => waiting([member()], { task: { ...TASK, requirements: { labels: {}, resources: ["model:x"] } } }),
      "a resource is missing",
    ],
    [
      "NO_WORKER_MATCHES_LABELS",
      () =>
        waiting([member({ candidate: { labels: { gpu: "t4" } } })], {
          task: { ...TASK, requirements: { labels: { gpu: "a100" }, resources: [] } },
        }),
      "a label differs",
    ],
    [
      "NO_WORKER_FOR_TYPE",
      () => waiting([member()], { task: { ...TASK, queue: "other" } }),
      "no worker takes from the queue",
    ],
    [
      "NO_WORKER_FOR_TYPE",
      () => waiting([member()], { task: { ...TASK, type: "ocrr" } }),
      "no handler for the type",
    ],
    [
      "QUEUE_PAUSED",
      () => waiting([member()], { queuePause: { reason: "night", since: NOW } }),
      "the queue is paused",
    ],
    [
      "SCHEDULED_FOR_LATER",
      () => waiting([member()], { task: { ...TASK, runTime: ago(-120_000) } }),
      "its time is in 2 min",
    ],
    [
      "WAITING_FOR_RETRY",
      () =>
        waiting([member()], { task: { ...TASK, runTime: ago(-30_000), attemptCount: 2, failure: BROKE } }),
      "the backoff runs",
    ],
  ];

  for (const [code, reasons, when] of cases) {
    it(`is ${code} when ${when}`, () => {
      const [first, ...more] = reasons();
      assert.equal(first?.code, code);
      assert.deepEqual(more, []);
    });
  }

  it("comes with everything else that holds the task back, in the order in which it has to be lifted", () => {
    const pause = { queuePause: { reason: "night", since: ago(1_000) } };
    const codes = (fleet: readonly FleetMember[], facts: Partial<WaitingFacts> = {}) =>
      waiting(fleet, facts).map(({ code }) => code);
    assert.deepEqual(codes([member({ candidate: { credit: 0 } })], pause), ["QUEUE_PAUSED"]);
    assert.deepEqual(codes([], pause), ["QUEUE_PAUSED", "NO_WORKERS"]);
    assert.deepEqual(
      codes([member()], { ...pause, task: { ...TASK, type: "ocrr", runTime: ago(-60_000) } }),
      ["SCHEDULED_FOR_LATER", "QUEUE_PAUSED", "NO_WORKER_FOR_TYPE"],
    );
    const mixed = [
      member({ id: "draining", candidate: { draining: true } }),
      member({ id: "other", candidate: { types: new Map() } }),
      member({ id: "full", candidate: { credit: 0 } }),
      member({ id: "paused", candidate: { pauseReason: "memory" } }),
    ];
    assert.deepEqual(codes(mixed), ["ALL_SLOTS_BUSY", "WORKERS_PAUSED", "WORKERS_DRAINING"]);
  });

  it("has the schedulers of the workers, and the cause of a delay", () => {
    const elsewhere = { elsewhere: true, ageMs: 300 };
    const there = member({ record: { schedulerId: "b" }, more: elsewhere });
    const [alive] = waiting([there], { dispatch: { ...DISPATCH, otherSchedulers: new Set(["b"]) } });
    assert.ok(alive?.evidence.some(({ value, ageMs }) => value.startsWith("1 at b") && ageMs === 300));
    const [locked] = waiting([member()], { dispatch: { ...DISPATCH, claimingMs: 4_000 } });
    assert.equal(factOf(locked, "claim_under_way_ms"), "4000");
    const [behind] = waiting([member()], { dispatch: { ...DISPATCH, aheadCount: 12 } });
    assert.equal(factOf(behind, "tasks_ahead"), "12");
  });

  it("is that of the worker that passed the most filters", () => {
    const [reason] = waiting([
      member({ id: "wrong-type", candidate: { types: new Map() } }),
      member({ id: "full", candidate: { credit: 0 } }),
      member({ id: "starting", candidate: { ready: false } }),
    ]);
    assert.equal(reason?.code, "ALL_SLOTS_BUSY");
    assert.ok(
      reason?.evidence.some(({ key, value }) => key === "removed_by_type" && value.includes("wrong-type")),
    );
    assert.ok(reason?.evidence.some(({ key, value }) => key === "workers_looked_at" && value === "3"));
  });
});

function factOf(reason: Reason | undefined, key: string): string | undefined {
  return reason?.evidence.find((fact) => fact.key === key)?.value;
}
