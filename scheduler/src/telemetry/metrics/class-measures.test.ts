import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { MeasuredClasses } from "./class-measures.ts";

describe("MeasuredClasses", () => {
  it("counts queues and types apart up to the limit, then as other", () => {
    const classes = new MeasuredClasses(2, (id) => ({ queue: "default", type: `type-${id}` }));
    for (let id = 1; id <= 1_000; id++) classes.of(id).finished.succeeded++;
    assert.deepEqual(
      [...classes.all()].map(({ queue, type, finished }) => [queue, type, finished.succeeded]),
      [
        ["other", "other", 998],
        ["default", "type-1", 1],
        ["default", "type-2", 1],
      ],
    );
  });

  it("measures classes of one queue and type together", () => {
    const classes = new MeasuredClasses(10, () => ({ queue: "gpu", type: "ocr" }));
    assert.equal(classes.of(1), classes.of(2));
  });

  it("asks again for a class that was not known yet", () => {
    let known = false;
    const classes = new MeasuredClasses(10, () => (known ? { queue: "gpu", type: "ocr" } : undefined));
    assert.equal(classes.of(1).type, "other");
    known = true;
    assert.equal(classes.of(1).type, "ocr");
  });
});
