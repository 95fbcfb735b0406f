import assert from "node:assert/strict";
import { test } from "node:test";
import { DatabaseUnavailableError } from "./errors.ts";
import { databaseUnavailable, invalidRequest, schedulerStopping, taskNotFound } from "./refusals.ts";

test("a stop names what to do, and lets workers dial at once", () => {
  const worker = schedulerStopping("workerStream");
  const call = schedulerStopping("call");
  assert.deepEqual([worker.kind, worker.reason], ["unavailable", "SCHEDULER_STOPPING"]);
  assert.deepEqual([worker.message, worker.retryDelayMs], ["the scheduler is stopping; dial again", 0]);
  assert.deepEqual([call.message, call.retryDelayMs], ["the scheduler is stopping; try again", 1_000]);
});

test("the database's absence has the error as its cause, and what became of the request", () => {
  const error = new DatabaseUnavailableError("PostgreSQL cannot be reached", false, undefined);
  const refusal = databaseUnavailable(error, "nothing was applied");
  assert.equal(refusal.message, "PostgreSQL cannot be reached: nothing was applied");
  assert.deepEqual([refusal.cause, refusal.retryDelayMs], [error, 1_000]);
  assert.equal(databaseUnavailable(error).message, error.message);
});

test("an invalid request says the first fault and lists all", () => {
  const refusal = invalidRequest(
    { field: "limit", description: "101 is not between 1 and 100" },
    { field: "pool", description: "has 300 characters" },
  );
  assert.equal(refusal.message, "limit 101 is not between 1 and 100");
  assert.deepEqual(
    refusal.violations.map(({ field }) => field),
    ["limit", "pool"],
  );
});

test("an unknown task is quoted, cut to what a message holds", () => {
  assert.match(taskNotFound("x".repeat(1_000)).message, /^there is no task "x{39,63}/);
});
