import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { removedBy } from "../matching/match.ts";
import { MatchLog, type MatchRecord } from "../matching/match-log.ts";
import type { DispatchFacts } from "./delayed.ts";
import type { FleetMember } from "./fleet.ts";
import type { Reason } from "./reason.ts";
import { ago, BROKE, held, member, NOW, TASK } from "./testing/fixture.ts";
import { explainWaiting } from "./waiting.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

const DISPATCH: DispatchFacts = {
  ranAgeMs: 10,
  claimingMs: undefined,
  lastError: undefined,
  pollAgeMs: 100,
  aheadCount: 0,
  otherSchedulers: new Set(),
};

/** What the matcher writes down when it looks at these. */
function matched(fleet: readonly FleetMember[]): MatchRecord {
  const log = new MatchLog();
  log.begin(0);
  const taskClass = { id: 1, queue: "default", type: "ocr", requirements: TASK.requirements };
  for (const { candidate } of fleet) {
    const filter = removedBy(taskClass, candidate);
    if (filter) log.removed(filter, candidate.workerId);
  }
  log.end(false, 0);
  return log.read(30_000);
}

function waiting(fleet: readonly FleetMember[], facts: Partial<WaitingFacts> = {}): Reason[] {
  const task = facts.task ?? TASK;
  return explainWaiting({
    task,
    taskClass: { id: 1, queue: task.queue, type: task.type, requirements: task.requirements },
    lastAttempt: undefined,
    queuePause: undefined,
    fleet,
    match: matched(fleet),
    monotonicNow: 0,
    gone: [],
    dispatch: DISPATCH,
    address: "scheduler:7070",
    now: NOW,
    ...facts,
  });
}

describe("why a task waits", () => {
  const cases: readonly (readonly [string, () => Reason[], RegExp])[] = [
    ["NO_WORKERS", () => waiting([]), /none was ever seen/],
    [
      "NO_WORKERS",
      () =>
        waiting([], {
          gone: [member({ id: "w-0", record: { goneTime: ago(180_000), goneReason: "lost" } }).record],
        }),
      /last one seen was w-0, 3 min ago \(lost\)/,
    ],
    ["DISPATCH_DELAYED", () => waiting([member()]), /w-1 can take it, and it has waited 60 s/],
    [
      "ALL_SLOTS_BUSY",
      () =>
        waiting([
          member({
            candidate: { credit: 0 },
            more: { held: [held("t-3.1", "inference", 90_000)] },
          }),
        ]),
      /all 2 slots.*t-3\.1 \(ocr\) on w-1 for 100 s, in inference for 90 s/,
    ],
    ["WORKERS_PAUSED", () => waiting([member({ candidate: { pauseReason: "memory" } })]), /w-1: memory/],
    ["WORKERS_DRAINING", () => waiting([member({ candidate: { draining: true } })]), /w-1/],
    [
      "WORKERS_STARTING",
      () => waiting([member({ state: "registered", candidate: { ready: false } })]),
      /starting/,
    ],
    [
      "WORKER_SUSPECT",
      () => waiting([member({ state: "suspect", candidate: { ready: false } })]),
      /does not answer: w-1; last beat 4 s ago/,
    ],
    [
      "RESOURCE_NOT_LOADED",
      () => waiting([member()], { task: { ...TASK, requirements: { labels: {}, resources: ["model:x"] } } }),
      /model:x/,
    ],
    [
      "NO_WORKER_MATCHES_LABELS",
      () =>
        waiting([member({ candidate: { labels: { gpu: "t4" } } })], {
          task: { ...TASK, requirements: { labels: { gpu: "a100" }, resources: [] } },
        }),
      /gpu=a100.*t4/,
    ],
    ["NO_WORKER_FOR_TYPE", () => waiting([member()], { task: { ...TASK, queue: "other" } }), /queue other/],
    [
      "NO_WORKER_FOR_TYPE",
      () => waiting([member()], { task: { ...TASK, type: "ocrr" } }),
      /did you mean ocr/,
    ],
    ["QUEUE_PAUSED", () => waiting([member()], { queuePause: { reason: "night", since: NOW } }), /night/],
    [
      "SCHEDULED_FOR_LATER",
      () => waiting([member()], { task: { ...TASK, runTime: ago(-120_000) } }),
      /in 2 min/,
    ],
    [
      "WAITING_FOR_RETRY",
      () =>
        waiting([member()], { task: { ...TASK, runTime: ago(-30_000), attemptCount: 2, failure: BROKE } }),
      /attempt 2 failed with BROKE \(it broke\); the next begins in 30 s/,
    ],
  ];

  for (const [code, reasons, summary] of cases) {
    it(`says ${code}: ${summary.source}`, () => {
      const [first, ...more] = reasons();
      assert.equal(first?.code, code);
      assert.match(first?.summary ?? "", summary);
      assert.ok(first?.remedy);
      assert.deepEqual(more, []);
    });
  }

  it("tells all that holds a task back, what is to be lifted first first", () => {
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

  it("names whose workers it looked at elsewhere, and whom a delay is due to", () => {
    const elsewhere = { elsewhere: true, ageMs: 300 };
    const there = member({ record: { schedulerId: "b" }, more: elsewhere });
    const [dead] = waiting([there]);
    assert.match(dead?.summary ?? "", /held by scheduler b, which does not answer/);
    const [alive] = waiting([there], { dispatch: { ...DISPATCH, otherSchedulers: new Set(["b"]) } });
    assert.match(alive?.summary ?? "", /it has waited 60 s for that one/);
    assert.ok(alive?.evidence.some(({ value, ageMs }) => value.startsWith("1 at b") && ageMs === 300));
    const [locked] = waiting([member()], { dispatch: { ...DISPATCH, claimingMs: 4_000 } });
    assert.match(locked?.summary ?? "", /the database has held up the claim for 4 s/);
    const [behind] = waiting([member()], { dispatch: { ...DISPATCH, aheadCount: 12 } });
    assert.match(behind?.summary ?? "", /12 older or more urgent tasks of its kind go first/);
  });

  it("names the filter that the nearest worker got furthest through", () => {
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
