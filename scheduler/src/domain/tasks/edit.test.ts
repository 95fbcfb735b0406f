import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TASK } from "../explain/testing/fixture.ts";
import { type EditPlan, planEdit, type TaskEdit } from "./edit.ts";
import { DEFAULT_RETRY_POLICY } from "./outcome/retry.ts";
import type { TaskRecord } from "./task.ts";

const WAITING: TaskRecord = { ...TASK, state: "queued", priority: 1 };

describe("an edit", () => {
  const plan = (edit: TaskEdit, task: Partial<TaskRecord> = {}): EditPlan => {
    const planned = planEdit({ ...WAITING, ...task }, edit);
    return typeof planned === "string" ? assert.fail(planned) : planned;
  };
  const refused = (edit: TaskEdit, task: Partial<TaskRecord>) => planEdit({ ...WAITING, ...task }, edit);

  it("changes what it has, and nothing else", () => {
    const options = { timeouts: { queueWaitMs: 5, runMs: 60_000 }, tags: ["a"] };
    const retry = {
      ...DEFAULT_RETRY_POLICY,
      maxOutOfMemory: 7,
      defaulted: ["maxRetries", "backoff"] as const,
    };
    const planned = plan(
      { priority: 5, runTimeoutMs: 90_000, maxRetries: 9 },
      { options: { ...options, retry } },
    );
    assert.equal(planned.priority, 5);
    assert.deepEqual(planned.options, {
      ...{ timeouts: { queueWaitMs: 5, runMs: 90_000 }, tags: ["a"] },
      retry: { ...retry, maxRetries: 9, defaulted: ["backoff"] },
    });
    assert.deepEqual(planned.changes, [
      { field: "priority", before: "1", after: "5" },
      { field: "run_timeout_ms", before: "60000", after: "90000" },
      { field: "max_retry_count", before: "", after: "9" },
    ]);
  });

  it("removes a run timeout with 0, and gives a task without options those that it needs", () => {
    const removed = plan({ runTimeoutMs: 0 }, { options: { timeouts: { runMs: 1 } } });
    assert.deepEqual(removed.options, { timeouts: {} });
    assert.deepEqual(removed.changes, [{ field: "run_timeout_ms", before: "1", after: "" }]);
    const made = plan({ maxRetries: 0 }, { options: undefined });
    assert.deepEqual(made.options, {
      retry: { ...DEFAULT_RETRY_POLICY, maxRetries: 0, defaulted: ["backoff"] },
    });
  });

  it("is empty for a task that is so already", () => {
    const options = { timeouts: { runMs: 7 }, retry: DEFAULT_RETRY_POLICY };
    const same = plan(
      { priority: 1, runTimeoutMs: 7, maxRetries: 3, start: { delayMs: 0 } },
      { options, runTime: undefined },
    );
    assert.deepEqual([same.changes, same.start, same.options], [[], undefined, options]);
    assert.ok(plan({ start: { delayMs: 0 } }, { runTime: new Date() }).start, "it waits for its time");
  });

  it("is refused where it cannot have an effect", () => {
    const start = { start: { delayMs: 1_000 } };
    assert.equal(refused({ priority: 2 }, { state: "failed" }), "ended");
    assert.equal(refused(start, { state: "running" }), "started");
    assert.equal(refused({ start: { runAtMs: 1 } }, { state: "assigned" }), "started");
    assert.equal(refused(start, { waitsForTasks: true }), "waits_for_tasks");
    assert.equal(refused({ start: { delayMs: 0 } }, { waitsForTasks: true }), "waits_for_tasks");
    const concurrency = [{ key: "k", limit: 1, strict: { priority: 0 } }];
    assert.equal(refused({ priority: 2 }, { concurrency, state: "assigned" }), "strict_order");
    assert.notEqual(refused({ priority: 2 }, { concurrency }), "strict_order");
    assert.notEqual(
      refused({ priority: 1, maxRetries: 1 }, { concurrency, state: "running" }),
      "strict_order",
    );
    assert.notEqual(refused({ priority: 2 }, { state: "running" }), "started");
  });
});
