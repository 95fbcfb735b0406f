import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { ChangeTasksRequestSchema, StepState, TaskState } from "@muster/protocol";
import type { ChangeProgress } from "../../../dispatch/changes/change-tally.ts";
import { Refusal } from "../../../domain/errors.ts";
import { fromProgress, toChangeRequest } from "./task-change.ts";

const CANCEL = { case: "cancelTasks", value: {} } as const;

type Init = MessageInitShape<typeof ChangeTasksRequestSchema>;

function read(init: Init) {
  return toChangeRequest(create(ChangeTasksRequestSchema, init));
}

function faults(init: Init): string[] {
  try {
    read(init);
  } catch (error) {
    assert.ok(error instanceof Refusal);
    assert.equal(error.reason, "INVALID_REQUEST");
    return error.violations.map(({ field, description }) => `${field} ${description}`);
  }
  return [];
}

const PROGRESS: ChangeProgress = {
  ...{ matched: 3, done: 2, requested: 1, examined: 9, examples: [] },
  skipped: new Map([["UNIQUE_KEY_HELD", { count: 1, taskIds: [7] }]]),
  left: undefined,
};

describe("a request to change many tasks", () => {
  it("is a filter and a change", () => {
    const request = read({
      change: { case: "moveTasks", value: { queue: "other" } },
      filter: {
        taskIds: ["t-7", "t-7"],
        states: [TaskState.QUEUED],
        queues: ["q"],
        taskTypes: ["a", "b"],
        failureCodes: ["BROKE"],
        topFrame: "read (a.ts:1:1)",
        batchId: "b-9",
        minAge: durationFromMs(1_500),
      },
      dryRun: true,
    });
    assert.deepEqual(request.change, { kind: "move", queue: "other", createQueue: false });
    const { taskIds, states, queues, types, failureCodes, batchId, minAgeMs } = request.filter;
    assert.deepEqual([taskIds, states, queues, types], [[7], ["queued"], ["q"], ["a", "b"]]);
    assert.deepEqual([failureCodes, batchId, minAgeMs], [["BROKE"], 9, 1_500]);
    assert.equal(request.filter.topFrame, "read (a.ts:1:1)");
    assert.deepEqual([request.dryRun, request.reason, request.from], [true, "asked by a caller", undefined]);
  });

  it("of a retry of a step alone is for tasks of which it has failed, and says so", () => {
    const change = { case: "retryTasks", value: { step: "create_pr" } } as const;
    const implied = { name: "create_pr", states: ["failed"] };
    const all = read({ change });
    assert.deepEqual([all.change, all.filter.step], [{ kind: "retry", step: "create_pr" }, implied]);
    assert.deepEqual(read({ change, all: true }).filter.step, implied);
    assert.deepEqual(read({ change, filter: { queues: ["q"] } }).filter.step, implied);
    assert.equal(read({ change, filter: { taskIds: ["t-7"] } }).filter.step, undefined);
    const step = { name: "notify", state: StepState.DONE };
    assert.deepEqual(read({ change, filter: { step } }).filter.step, { name: "notify", states: ["done"] });
    assert.deepEqual(read({ change: CANCEL, filter: { step: { name: "notify" } } }).filter.step, {
      name: "notify",
      states: ["pending", "done", "failed"],
    });
    assert.match(
      faults({ change, filter: { states: [TaskState.QUEUED] } }).join(),
      /queued is no state of tasks/,
    );
    assert.match(faults({ change, all: true, filter: { queues: ["q"] } }).join(), /^all is true/);
    const wrong = { case: "retryTasks", value: { step: "Create PR", afresh: true } } as const;
    assert.deepEqual(
      faults({ change: wrong, filter: { step: { name: "", state: 9 as StepState } } }).map(
        (each) => each.split(" ")[0],
      ),
      ["retry_tasks.step", "retry_tasks.step", "filter.step.name", "filter.step.state"],
    );
  });

  it("names every fault", () => {
    const filter = {
      ...{ taskIds: ["7"], states: [TaskState.FAILED, 99 as TaskState], queues: [""], batchId: "9" },
      ...{ uniqueKey: "a\0", maxAge: durationFromMs(-1), details: Array(101).fill("x") },
      topFrame: "é".repeat(301),
    };
    const found = faults({ filter, change: CANCEL }).join("\n");
    for (const part of [
      /filter\.task_ids\[0\] "7" is no id of a task/,
      /filter\.states\[0\] failed is no state of tasks for this change; allowed are queued, assigned, running/,
      /filter\.states\[1\] 99 is no state/,
      /filter\.queues\[0\] is empty/,
      /filter\.batch_id "9" is no id of a batch/,
      /filter\.unique_key must have at most 512 bytes/,
      /filter\.max_age -0\.001 s is not between/,
      /filter\.top_frame "?é.* must have at most 300 characters and no NUL/,
      /filter\.details has 101 entries; at most 100/,
    ])
      assert.match(found, part);
    assert.match(faults({ all: true }).join(), /^change is not set/);
    const tooHigh = { case: "setPriority", value: { priority: 1_001 } } as const;
    assert.match(faults({ all: true, change: tooHigh }).join(), /1001 is not between -1000 and 1000/);
    const noQueue = { case: "moveTasks", value: { queue: "" } } as const;
    assert.match(faults({ all: true, change: noQueue }).join(), /^move_tasks\.queue ""/);
  });

  it("confirms a filter without a condition, and no other", () => {
    assert.match(faults({ change: CANCEL }).join(), /^all is false, and the filter has no condition/);
    assert.match(
      faults({ change: CANCEL, all: true, filter: { queues: ["q"] } }).join(),
      /^all is true, and the filter has a condition/,
    );
    assert.deepEqual(faults({ change: CANCEL, all: true }), []);
    assert.deepEqual(faults({ change: CANCEL, filter: { queues: ["q"] } }), []);
  });

  it("goes on at the place of its token, and refuses that of another filter", () => {
    const init: Init = { change: CANCEL, filter: { queues: ["q"] } };
    const cutOff = { taskId: 42, timeMs: 1_796_000_000_000.25 };
    for (const position of [
      { source: "open", classId: 3, priority: -5, id: 9 },
      { source: "ended", id: 9 },
      { source: "ids", id: 0 },
    ] as const) {
      const { continueToken = "" } = fromProgress(read(init), { ...PROGRESS, left: { cutOff, position } });
      assert.deepEqual(read({ ...init, continueToken }).from, { cutOff, position });
      for (const other of [
        { ...init, filter: { queues: ["other"] }, continueToken },
        { ...init, continueToken: `x${continueToken}` },
        { ...init, continueToken: "abc" },
      ])
        assert.throws(() => read(other), { reason: "INVALID_PAGE_TOKEN" });
    }
  });

  it("is answered with its counts and the reasons in words", () => {
    const answer = fromProgress(read({ change: CANCEL, all: true }), PROGRESS);
    assert.deepEqual(
      [answer.matchedCount, answer.doneCount, answer.requestedCount, answer.examinedCount],
      [3n, 2n, 1n, 9n],
    );
    assert.deepEqual([answer.finished, answer.continueToken], [true, ""]);
    const [skipped] = answer.skipped ?? [];
    assert.deepEqual(
      [skipped?.code, skipped?.skippedCount, skipped?.taskIds],
      ["UNIQUE_KEY_HELD", 1n, ["t-7"]],
    );
    assert.match(skipped?.message ?? "", /another task holds its unique key/);
  });
});
