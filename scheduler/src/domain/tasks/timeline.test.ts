import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { madeTask } from "../testing/made-records.ts";
import type { AttemptRecord, TaskRecord } from "./task.ts";
import { type TimelineEvent, timeline } from "./timeline.ts";

const at = (ms: number) => new Date(1_700_000_000_000 + ms);

const TASK = madeTask({ createTime: at(0) });

/** A task that was requeued `requeues` times and then ended or not, with clocks that lie. */
const histories = fc.record({
  requeues: fc.integer({ min: 0, max: 6 }),
  ended: fc.boolean(),
  phases: fc.integer({ min: 0, max: 4 }),
  skew: fc.array(fc.integer({ min: -5_000, max: 5_000 }), { minLength: 60, maxLength: 60 }),
});

describe("a task's timeline", () => {
  it("has one total order, whatever the clocks say and in whatever order the facts come", () => {
    fc.assert(
      fc.property(histories, fc.infiniteStream(fc.nat()), ({ requeues, ended, phases, skew }, shuffle) => {
        let tick = 0;
        const time = () => at(tick * 10 + (skew[tick++ % skew.length] ?? 0));
        const attempts: AttemptRecord[] = [];
        const recorded: TimelineEvent[] = [];
        const expected = ["created"];
        let id = 0;
        const record = (name: string, epoch: number) =>
          recorded.push({ id: ++id, time: time(), name, epoch, workerId: undefined, attributes: {} });
        for (let epoch = 1; epoch <= requeues + 1; epoch++) {
          const last = epoch > requeues;
          const times = { assignTime: time(), acceptTime: time(), startTime: time() };
          expected.push("assigned", "accepted", "started");
          for (let n = 0; n < phases; n++) {
            record(`task.p${n}.started`, epoch);
            expected.push(`task.p${n}.started`);
          }
          if (last) {
            const task: TaskRecord = {
              ...TASK,
              ...times,
              epoch,
              state: ended ? "succeeded" : "running",
              detail: "succeeded",
              finishTime: ended ? time() : undefined,
            };
            if (ended) expected.push("succeeded");
            const order = shuffle.take(100);
            const events = timeline(task, mixed(attempts, [...order]), recorded);
            assert.deepEqual(
              events.map(({ name }) => name),
              expected,
            );
            return;
          }
          record("requeued:retry", epoch);
          expected.push("requeued:retry");
          attempts.push({
            epoch,
            number: epoch,
            workerId: "w",
            outcome: "requeued:retry",
            failure: undefined,
            ...times,
            endTime: time(),
          });
        }
      }),
    );
  });

  it("shows an end once when it was recorded, and a retry after it", () => {
    const names = (task: TaskRecord, recorded: readonly string[]) =>
      timeline(
        task,
        [],
        recorded.map((name, n) => ({
          id: n + 1,
          time: at(n),
          name,
          epoch: 0,
          workerId: undefined,
          attributes: {},
        })),
      ).map(({ name }) => name);
    const cancelled: TaskRecord = { ...TASK, state: "cancelled", detail: "cancelled", finishTime: at(9) };
    assert.deepEqual(names(cancelled, ["cancelled"]), ["created", "cancelled"]);
    assert.deepEqual(names(cancelled, []), ["created", "cancelled"]);
    assert.deepEqual(names(TASK, ["cancelled", "retry_requested"]), [
      "created",
      "cancelled",
      "retry_requested",
    ]);
    assert.deepEqual(names(cancelled, ["requeued:retry", "replaced", "cancelled"]), [
      ...["created", "requeued:retry", "replaced", "cancelled"],
    ]);
  });

  it("puts nothing that happened during an attempt after its end", () => {
    const late = {
      id: 7,
      time: at(9),
      name: "task.inference.completed",
      epoch: 1,
      workerId: "w",
      attributes: {},
    };
    const events = timeline(
      { ...TASK, epoch: 1, state: "succeeded", detail: "succeeded", finishTime: at(5) },
      [],
      [late],
    );
    assert.deepEqual(
      events.slice(-2).map(({ name, time }) => [name, time]),
      [
        ["task.inference.completed", at(5)],
        ["succeeded", at(5)],
      ],
    );
  });

  it("has the cause of a failure with its end", () => {
    const [, end] = timeline(
      {
        ...TASK,
        state: "failed",
        detail: "RETRIES_EXHAUSTED",
        finishTime: at(5),
        failure: { failureClass: "retryable", code: "BROKE", message: "it broke" },
      },
      [],
      [],
    );
    assert.deepEqual(end?.attributes, { detail: "RETRIES_EXHAUSTED", message: "it broke" });
  });
});

function mixed<T>(items: readonly T[], order: readonly number[]): T[] {
  return items
    .map((item, n) => ({ item, key: order[n] ?? 0 }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item);
}
