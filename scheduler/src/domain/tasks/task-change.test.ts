import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  allowedStates,
  type ChangeFilter,
  type FoundTask,
  nextStep,
  STEP,
  sizeAfter,
  skipOf,
  type TaskChange,
  wantedStates,
} from "./task-change.ts";
import { END_STATES, OPEN_STATES, type TaskState } from "./task-state.ts";

const STATES: readonly TaskState[] = [...OPEN_STATES, ...END_STATES];

function found(state: TaskState, fields: Partial<FoundTask> = {}): FoundTask {
  return {
    ...{ id: 1, state, classId: 1, priority: 0, queue: "default", uniqueKey: undefined },
    ...{ waitsForTime: false, waitsForTasks: false, bytes: 2 },
    ...fields,
  };
}

const FILTER: ChangeFilter = {
  ...{ taskIds: [], states: [], queues: [], types: [], details: [], failureCodes: [], tags: [] },
  ...{ errorText: undefined, workerId: undefined, batchId: undefined, uniqueKey: undefined },
  ...{ minAgeMs: undefined, maxAgeMs: undefined, minEndedAgeMs: undefined, maxEndedAgeMs: undefined },
};

describe("a change of many tasks", () => {
  it("leaves tasks of other states as they are, with the reason", () => {
    const codes = (change: TaskChange) => STATES.map((state) => skipOf(change, found(state)) ?? "");
    const [move, priority] = [
      { kind: "move", queue: "other", createQueue: false } as const,
      { kind: "set_priority", priority: 1 } as const,
    ];
    const [active, ended] = ["TASK_NOT_QUEUED", "TASK_ALREADY_ENDED"];
    assert.deepEqual(codes({ kind: "cancel" }), ["", "", "", ended, ended, ended]);
    assert.deepEqual(codes({ kind: "retry" }), [...Array(3).fill("TASK_NOT_RETRYABLE"), "", "", ""]);
    assert.deepEqual(codes(move), ["", active, active, ended, ended, ended]);
    assert.deepEqual(codes(priority), ["", active, active, ended, ended, ended]);
    assert.deepEqual(codes({ kind: "delete" }), [...Array(3).fill("TASK_NOT_ENDED"), "", "", ""]);
    assert.equal(skipOf({ ...move, queue: "default" }, found("queued")), "TASK_UNCHANGED");
    assert.equal(skipOf({ ...priority, priority: 0 }, found("queued")), "TASK_UNCHANGED");
  });

  it("wakes a task that waits for its time, and none that waits for others", () => {
    const retry = { kind: "retry" } as const;
    assert.equal(skipOf(retry, found("queued", { waitsForTime: true })), undefined);
    const waits = found("queued", { waitsForTime: true, waitsForTasks: true });
    assert.equal(skipOf(retry, waits), "TASK_NOT_RETRYABLE");
  });

  it("is for states of its own unless the filter names states or tasks", () => {
    const changes: readonly TaskChange[] = [
      ...([{ kind: "cancel" }, { kind: "retry" }, { kind: "delete" }] as const),
      { kind: "move", queue: "other", createQueue: false },
      { kind: "set_priority", priority: 1 },
      { kind: "retry", step: "create_pr" },
    ];
    for (const change of changes) {
      const wanted = wantedStates(change, FILTER);
      const allowed = allowedStates(change);
      assert.ok(wanted.length > 0 && wanted.every((state) => allowed.includes(state)), change.kind);
      assert.deepEqual(wantedStates(change, { ...FILTER, states: ["queued"] }), ["queued"]);
      assert.deepEqual(wantedStates(change, { ...FILTER, taskIds: [1] }), STATES);
    }
    assert.deepEqual(
      wantedStates({ kind: "retry" }, FILTER),
      ["failed", "cancelled"],
      "no success by default",
    );
  });

  it("runs a step alone again of ended tasks, successes too", () => {
    const retry = { kind: "retry", step: "create_pr" } as const;
    assert.deepEqual(wantedStates(retry, FILTER), END_STATES);
    assert.deepEqual(allowedStates(retry), END_STATES);
    assert.equal(skipOf(retry, found("queued", { waitsForTime: true })), "TASK_NOT_RETRYABLE");
    assert.equal(skipOf(retry, found("succeeded")), undefined);
  });

  it("takes as many tasks in a step as their number and their bytes allow, and at least one", () => {
    const tasks = (count: number, bytes: number) =>
      Array.from({ length: count }, (_, id) => found("queued", { id, bytes }));
    assert.equal(nextStep(tasks(STEP.most + 1, 0)).length, STEP.most);
    assert.equal(nextStep(tasks(10, 0), 3).length, 3);
    assert.equal(nextStep(tasks(10, STEP.bytes / 4)).length, 4);
    assert.equal(nextStep(tasks(3, STEP.bytes * 2)).length, 1);
    assert.deepEqual(nextStep([]), []);
  });

  it("makes steps smaller while they last long, and larger again", () => {
    assert.equal(sizeAfter(500, 101), 250);
    assert.equal(sizeAfter(60, 5_000), STEP.least);
    assert.equal(sizeAfter(250, 50), 250);
    assert.equal(sizeAfter(250, 10), 500);
    assert.equal(sizeAfter(500, 10), STEP.most);
  });
});
