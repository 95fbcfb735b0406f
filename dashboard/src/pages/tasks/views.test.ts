import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isSame, readViews, withView } from "./views.ts";

describe("views of the list of tasks", () => {
  it("are read from what a browser keeps, whatever that is", () => {
    const view = { name: "failed", filters: { state: "failed", error: "no route" } };
    assert.deepEqual(readViews(JSON.stringify([view])), [view]);
    assert.deepEqual(
      readViews(JSON.stringify([{ name: "x", filters: { state: 1, other: "y" } }, 5, { name: 1 }])),
      [{ name: "x", filters: {} }],
    );
    for (const stored of [null, "", "{", "{}", "null"]) assert.deepEqual(readViews(stored), []);
  });

  it("have different names, and are not more than a browser shows", () => {
    const named = (name: string) => ({ name, filters: {} });
    assert.deepEqual(
      withView([named("a"), named("b")], { name: "a", filters: { queue: "q" } }).map(({ name }) => name),
      ["b", "a"],
    );
    const many = Array.from({ length: 30 }, (_, n) => named(String(n))).reduce(withView, []);
    assert.deepEqual([many.length, many.at(-1)?.name], [20, "29"]);
  });

  it("are the same whatever the order of their filters", () => {
    assert.ok(isSame({ queue: "a", state: "failed" }, { state: "failed", queue: "a" }));
    assert.ok(!isSame({ queue: "a" }, { queue: "b" }));
  });
});
