import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { EventSchema, TaskSchema, TaskState } from "@muster/protocol";
import { timeline } from "./timeline.ts";

const at = (seconds: number) => ({ seconds: BigInt(seconds), nanos: 0 });
const event = (seconds: number, name: string, attempt = "", attributes: Record<string, string> = {}) =>
  create(EventSchema, {
    time: at(seconds),
    name,
    attemptId: attempt,
    workerId: attempt === "" ? "" : "w",
    attributes,
  });

describe("the timeline of a task", () => {
  const brief = (lanes: ReturnType<typeof timeline>["lanes"]) =>
    lanes.map(({ label, outcome, segments }) => [
      label,
      outcome,
      ...segments.map(({ name, from, to }) => `${name} ${from / 1_000}-${to / 1_000}`),
    ]);

  it("has a lane for each wait and each attempt", () => {
    const task = create(TaskSchema, { state: TaskState.SUCCEEDED, createTime: at(100), finishTime: at(190) });
    const { from, to, lanes } = timeline(
      task,
      [
        event(100, "created"),
        event(110, "assigned", "t-1.1"),
        event(111, "started", "t-1.1"),
        event(112, "task.load.started", "t-1.1"),
        event(120, "task.load.stuck", "t-1.1"),
        event(130, "requeued:stale", "t-1.1"),
        event(160, "assigned", "t-1.2"),
        event(160, "started", "t-1.2"),
        event(161, "task.load.started", "t-1.2"),
        event(168, "task.load.stuck", "t-1.2"),
        event(170, "task.load.completed", "t-1.2", { elapsed_ms: "9000" }),
        event(190, "succeeded", "t-1.2"),
      ],
      999_000,
    );
    assert.deepEqual([from, to], [100_000, 190_000]);
    assert.deepEqual(brief(lanes), [
      ["waits", "", "waits 100-110"],
      [
        "t-1.1",
        "requeued:stale",
        "assigned 110-111",
        "runs 111-130",
        "load 112-130",
        "stuck in load 120-130",
      ],
      ["waits", "", "waits after the loss of its worker 130-160"],
      ["t-1.2", "succeeded", "runs 160-190", "load 161-170", "stuck in load 168-170"],
    ]);
    assert.deepEqual(lanes[1]?.marks, [{ name: "stuck in load", at: 120_000, bad: true }]);
  });

  it("goes on until now while the task is open", () => {
    const task = create(TaskSchema, { state: TaskState.RUNNING, createTime: at(100) });
    const events = [event(101, "assigned", "t-1.1"), event(102, "started", "t-1.1")];
    assert.deepEqual(brief(timeline(task, events, 150_000).lanes), [
      ["waits", "", "waits 100-101"],
      ["t-1.1", "", "assigned 101-102", "runs 102-150"],
    ]);
    const queued = create(TaskSchema, { state: TaskState.QUEUED, createTime: at(100) });
    assert.deepEqual(brief(timeline(queued, [], 150_000).lanes), [["waits", "", "waits 100-150"]]);
  });

  it("ends with the attempt that failed for good", () => {
    const task = create(TaskSchema, { state: TaskState.FAILED, createTime: at(100), finishTime: at(120) });
    const events = [
      event(101, "assigned", "t-1.1"),
      event(102, "started", "t-1.1"),
      event(120, "failed", "t-1.1"),
    ];
    assert.equal(timeline(task, events, 150_000).lanes.at(-1)?.label, "t-1.1");
  });
});
