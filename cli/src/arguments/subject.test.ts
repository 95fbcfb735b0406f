import assert from "node:assert/strict";
import { test } from "node:test";
import { candidates } from "./subject.ts";

test("a bare id is looked up among all kinds", () => {
  assert.deepEqual(candidates("t-1", ["task", "worker"]), [
    { kind: "task", id: "t-1" },
    { kind: "worker", id: "t-1" },
  ]);
});

test("a kind that is said comes first, and the whole text is an id still", () => {
  assert.deepEqual(candidates("worker:7", ["task", "worker"]), [
    { kind: "worker", id: "7" },
    { kind: "task", id: "worker:7" },
    { kind: "worker", id: "worker:7" },
  ]);
  assert.deepEqual(candidates("queue:nightly", ["task"]), [{ kind: "task", id: "queue:nightly" }]);
});
