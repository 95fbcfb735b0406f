import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { parts, references } from "./references.ts";

describe("names in sentences", () => {
  it("are found, and the sentence stays as it is", () => {
    const sentence =
      "12 tasks wait and no worker can run them; the oldest, ocr.page in queue nightly-1, has waited for 3 min: see t-42.1 on worker w-3.";
    const found = parts(sentence);
    assert.equal(found.map(({ text }) => text).join(""), sentence);
    assert.deepEqual(
      found.filter(({ kind }) => kind !== "text"),
      [
        { kind: "queue", text: "queue nightly-1", id: "nightly-1" },
        { kind: "task", text: "t-42.1", id: "t-42" },
        { kind: "worker", text: "worker w-3", id: "w-3" },
      ],
    );
  });

  it("are found in commands", () => {
    const remedy = "run `muster why queue:nightly` to see what is missing";
    assert.deepEqual(parts(remedy)[1], { kind: "command", text: "`muster why queue:nightly`" });
    assert.deepEqual(references(remedy), [{ kind: "queue", id: "nightly" }]);
  });

  it("are not made of ordinary words or markup", () => {
    for (const sentence of ["the queue is paused", "a worker that takes it", "no worker can run <b>it</b>"])
      assert.deepEqual(references(sentence), [], sentence);
  });

  it("take time in proportion to the text", () => {
    const began = performance.now();
    parts(`${"queue ".repeat(20_000)}${"`".repeat(20_000)}`);
    assert.ok(performance.now() - began < 1_000);
  });
});
