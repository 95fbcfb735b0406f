import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { RecentCompletions } from "./recent-completions.ts";

describe("recent completions", () => {
  const recent = new RecentCompletions({
    counts: [
      { queue: "a", type: "x", count: 2 },
      { queue: "a", type: "y", count: 3 },
      { queue: "b", type: "x", count: 5 },
    ],
    ageMs: 7,
  });

  it("are summed by queue, by type, and by both", () => {
    assert.deepEqual([recent.total, recent.ageMs], [10, 7]);
    assert.deepEqual([recent.ofQueue("a"), recent.ofQueue("b"), recent.ofQueue("c")], [5, 5, 0]);
    assert.deepEqual([recent.ofType("a", "y"), recent.ofType("b", "y")], [3, 0]);
    assert.deepEqual(
      [...recent.byType()],
      [
        ["x", 7],
        ["y", 3],
      ],
    );
    assert.deepEqual(
      [...recent.all()],
      [
        ["a", "x", 2],
        ["a", "y", 3],
        ["b", "x", 5],
      ],
    );
  });
});
