import assert from "node:assert/strict";
import { test } from "node:test";
import { DependencyCondition } from "@muster/protocol";
import type { TaskDependency } from "./submit-spec.ts";
import { encodeTaskSpec } from "./task-spec.ts";

const encode = (after: readonly TaskDependency[], position?: number) =>
  encodeTaskSpec({ type: "t", after }, position).after.map(({ predecessor, condition }) => [
    predecessor.case,
    predecessor.value,
    condition,
  ]);

test("a dependency is an id, a handle or an earlier entry, with a success as its default", () => {
  const { SUCCEEDED, ENDED } = DependencyCondition;
  assert.deepEqual(encode([{ task: "t-1" }, { task: { id: "t-2" }, when: "ended" }, { entry: 0 }], 1), [
    ["taskId", "t-1", SUCCEEDED],
    ["taskId", "t-2", ENDED],
    ["entry", 0, SUCCEEDED],
  ]);
});

test("a dependency on a later entry, on an entry of a single submit, or on nothing is refused by name", () => {
  assert.throws(
    () => encode([{ entry: 1 }], 1),
    /Task t: after\[0\]\.entry is 1; it is the position of an earlier/,
  );
  assert.throws(() => encode([{ entry: 0 }]), /after\[0\]\.entry is 0/);
  assert.throws(() => encode([{}], 1), /after\[0\] must have either task or entry/);
  assert.throws(() => encode([{ task: "t-1", entry: 0 }], 1), /either task or entry/);
  assert.throws(
    () => encode([{ task: "t-1", when: "done" as never }]),
    /after\[0\]\.when is "done"; allowed are/,
  );
});
