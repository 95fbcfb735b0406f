import assert from "node:assert/strict";
import { it } from "node:test";
import type { AttemptFacts } from "../../domain/tasks/trace.ts";
import { endedInQueueSpans, endedSpans } from "./attempt-spans.ts";
import { attemptContext } from "./span-ids.ts";

const PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

function facts(change: Partial<AttemptFacts> = {}): AttemptFacts {
  return {
    taskId: 7,
    epoch: 1,
    classId: 1,
    queue: "default",
    type: "work",
    trace: { parent: PARENT },
    waitingSinceMs: 1_000,
    previousOutcome: undefined,
    number: 1,
    workerId: "w1",
    workerFeatures: ["tracing"],
    assignedMs: 2_000,
    acceptedMs: 2_020,
    startedMs: 2_030,
    endedMs: 3_000,
    outcome: "succeeded",
    failure: undefined,
    ...change,
  };
}

const ended = { assigned: { sentMs: 2_010, reasons: [] }, reportedMs: 2_990, committedMs: 3_005 };

/** `name start-end` of each span. */
function told(spans: ReturnType<typeof endedSpans>): string[] {
  return spans.map(({ name, startMs, endMs }) => `${name} ${startMs}-${endMs}`);
}

function reasonOf(spans: ReturnType<typeof endedSpans>) {
  return spans.find(({ name }) => name === "queue wait")?.attributes["muster.wait.reason"];
}

it("the steps of an attempt fill it without a gap", () => {
  assert.deepEqual(told(endedSpans(facts(), ended, [])), [
    "queue wait 1000-2000",
    "assign 2000-2010",
    "accept 2010-2020",
    "commit default 2990-3005",
    "attempt work 1000-3005",
  ]);
});

it("a clock that disagrees with the database's makes no step end before it begins", () => {
  for (const sentMs of [1_500, 2_500]) {
    const spans = endedSpans(facts(), { ...ended, assigned: { sentMs, reasons: [] }, reportedMs: 9_000 }, []);
    for (const span of spans) assert.ok(span.endMs >= span.startMs, `${span.name} with ${sentMs}`);
  }
});

it("the wait has the reason that held longest, within the wait", () => {
  const reasons = [
    { sinceMs: 0, code: "NO_WORKERS" },
    { sinceMs: 1_200, code: "ALL_SLOTS_BUSY" },
    { sinceMs: 1_950, code: "" },
    { sinceMs: 2_500, code: "QUEUE_PAUSED" },
  ];
  const spans = endedSpans(facts(), { ...ended, assigned: { sentMs: 2_010, reasons } }, []);
  assert.equal(reasonOf(spans), "ALL_SLOTS_BUSY");
  assert.deepEqual(
    spans[0]?.events?.map(({ atMs, attributes }) => [atMs, attributes?.["muster.wait.reason"]]),
    [
      [1_000, "NO_WORKERS"],
      [1_200, "ALL_SLOTS_BUSY"],
    ],
  );
  assert.equal(reasonOf(endedSpans(facts(), ended, [])), "DISPATCH_DELAYED");
  assert.equal(reasonOf(endedSpans(facts(), { ...ended, assigned: undefined }, [])), "UNKNOWN");
  const retry = facts({ epoch: 2, previousOutcome: "requeued:retry" });
  assert.equal(reasonOf(endedSpans(retry, ended, [])), "WAITING_FOR_RETRY");
  const delayed = facts({ trace: { parent: PARENT, dueMs: 1_900 } });
  assert.equal(reasonOf(endedSpans(delayed, ended, [])), "SCHEDULED_FOR_LATER");
});

it("the first attempt hangs below the submit; later ones are linked to it and to the one before", () => {
  const first = endedSpans(facts(), ended, []).at(-1);
  assert.equal(first?.parent?.spanId, "b7ad6b7169203331");
  assert.deepEqual(first?.links, []);
  const second = endedSpans(facts({ epoch: 2, previousOutcome: "requeued:stale" }), ended, []).at(-1);
  assert.equal(second?.parent, undefined);
  assert.deepEqual(
    second?.links?.map(({ to }) => to.spanId),
    ["b7ad6b7169203331", attemptContext({ parent: PARENT }, { taskId: 7, epoch: 1 })?.spanId],
  );
});

it("the scheduler writes the span of a run whose worker is gone or writes none", () => {
  const phases = [
    { phase: "load", startMs: 2_025, endMs: 2_100, failed: false },
    { phase: "load", startMs: 2_200, endMs: undefined, failed: false },
  ];
  const failure = { code: "WORKER_LOST", message: "worker w1 stopped answering" };
  const lost = facts({ outcome: "requeued:stale", failure });
  const spans = endedSpans(lost, { ...ended, reportedMs: undefined }, phases);
  assert.deepEqual(told(spans).slice(3), [
    "run default 2025-3005",
    "phase load 2025-2100",
    "phase load 2200-3005",
    "attempt work 1000-3005",
  ]);
  const [, , , run, done, open, attempt] = spans;
  assert.deepEqual(
    [run?.error?.type, done?.error, open?.error?.type],
    ["WORKER_LOST", undefined, "WORKER_LOST"],
  );
  assert.equal(attempt?.error?.message, failure.message);
  assert.equal(new Set([done?.self?.spanId, open?.self?.spanId]).size, 2);
  assert.equal(endedSpans(facts({ workerFeatures: [] }), ended, phases).length, 8);
  const neverStarted = facts({ startedMs: undefined, acceptedMs: undefined, outcome: "requeued:unaccepted" });
  assert.deepEqual(told(endedSpans(neverStarted, { ...ended, reportedMs: undefined }, [])), [
    "queue wait 1000-2000",
    "assign 2000-2010",
    "accept 2010-3000",
    "attempt work 1000-3005",
  ]);
});

it("a task that ended in the queue leaves its wait", () => {
  const gone = facts({
    assignedMs: undefined,
    acceptedMs: undefined,
    startedMs: undefined,
    outcome: "cancelled",
  });
  assert.deepEqual(told(endedInQueueSpans(gone, [])), ["queue wait 1000-3000", "attempt work 1000-3000"]);
});
