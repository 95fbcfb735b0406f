import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ClassMeasures } from "./class-measures.ts";
import { TaskMetricTally } from "./task-metrics.ts";

describe("the tally of what handlers measured", () => {
  it("sums by queue, type and name, and has other from the start", () => {
    const tally = new TaskMetricTally();
    assert.deepEqual([...tally.all()], [[{ queue: "other", type: "other", name: "other" }, 0]]);
    const llm = new ClassMeasures("gpu", "llm");
    assert.ok(tally.add(llm, "tokens_in", 5));
    assert.ok(tally.add(llm, "tokens_in", 0.5));
    assert.ok(tally.add(new ClassMeasures("other", "other"), "tokens_in", 1));
    assert.deepEqual([...tally.all()].slice(1), [
      [{ queue: "gpu", type: "llm", name: "tokens_in" }, 5.5],
      [{ queue: "other", type: "other", name: "tokens_in" }, 1],
    ]);
  });

  it("counts names beyond the limit as other, also when they have the name", () => {
    const tally = new TaskMetricTally(2);
    const one = new ClassMeasures("a", "b");
    const rest = new ClassMeasures("other", "other");
    assert.ok(tally.add(one, "first", 1));
    assert.ok(tally.add(one, "second", 1));
    assert.ok(!tally.add(one, "third", 1));
    assert.ok(!tally.add(one, "other", 2));
    assert.ok(!tally.add(rest, "fourth", 4));
    assert.ok(tally.add(rest, "first", 8));
    const sums = Object.fromEntries(
      [...tally.all()].map(([{ queue, name }, sum]) => [`${queue} ${name}`, sum]),
    );
    assert.deepEqual(sums, { "a first": 1, "a second": 1, "a other": 3, "other other": 4, "other first": 8 });
  });
});
