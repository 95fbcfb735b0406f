import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { EndState } from "../task.ts";
import type { DependencyCause } from "./dependencies.ts";
import {
  causeInWords,
  type EndedDependency,
  type PredecessorEnd,
  planDependents,
} from "./dependency-plan.ts";

const end = (id: number, state: EndState = "succeeded"): PredecessorEnd => ({
  ...{ id, taskId: 100 + id, state },
  cause: { taskId: 100 + id, state, detail: state },
});

const edge = (
  endId: number,
  id: number,
  taskId: number,
  more: Partial<EndedDependency> = {},
): EndedDependency => ({ endId, id, taskId, success: true, openCount: 1, ...more });

describe("the plan for dependents", () => {
  it("releases a task with its last open predecessor, also when several end in one step", () => {
    const plan = planDependents(
      [end(1), end(2)],
      [edge(1, 1, 7, { openCount: 2 }), edge(2, 2, 7, { openCount: 2 }), edge(2, 3, 8, { openCount: 3 })],
      10,
    );
    assert.deepEqual([plan.released, [...plan.waiting], plan.broken], [[7], [[8, 2]], []]);
    assert.deepEqual([plan.finished, plan.continued], [[1, 2], []]);
  });

  it("ends a task with the first predecessor that did not succeed, whatever the others did", () => {
    const { released, broken, waiting } = planDependents(
      [end(1), end(2, "cancelled"), end(3, "failed")],
      [edge(1, 1, 7, { openCount: 3 }), edge(2, 2, 7, { openCount: 3 }), edge(3, 3, 7, { openCount: 3 })],
      10,
    );
    assert.deepEqual([released, waiting.size], [[], 0]);
    assert.deepEqual(
      broken.map(({ taskId, state, reason }) => [taskId, state, reason]),
      [[7, "cancelled", "t-102, which it waited for, was cancelled"]],
    );
  });

  it("takes any end where that is enough, and leaves tasks alone that wait no more", () => {
    const plan = planDependents(
      [end(1, "failed")],
      [edge(1, 1, 7, { success: false }), edge(1, 2, 8, { openCount: undefined })],
      10,
    );
    assert.deepEqual([plan.released, plan.broken, plan.waiting.size], [[7], [], 0]);
  });

  it("goes on where a step left off when an end has more dependents", () => {
    const plan = planDependents([end(1), end(2)], [edge(1, 4, 7), edge(1, 9, 8), edge(2, 10, 9)], 2);
    assert.deepEqual([plan.finished, plan.continued], [[2], [{ endId: 1, doneId: 9 }]]);
  });

  it("names the first end of a chain", () => {
    const root: DependencyCause = { taskId: 1, state: "failed", detail: "OUT_OF_TAPE", message: "no tape" };
    assert.equal(
      causeInWords({ taskId: 4, state: "failed", detail: "DEPENDENCY_FAILED", message: "...", root }),
      "t-4, which it waited for, failed with DEPENDENCY_FAILED; the first of the chain was t-1, which failed with OUT_OF_TAPE: no tape",
    );
  });
});
