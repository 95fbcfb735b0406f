import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { find, type Known, NOTHING_KNOWN } from "./find.ts";

const KNOWN: Known = {
  ...NOTHING_KNOWN,
  workers: ["gpu-1", "big-gpu"],
  queues: ["default", "gpu"],
  types: ["ocr.page"],
};

describe("the search box", () => {
  const labels = (text: string) => find(text, KNOWN, []).map(({ kind, label }) => `${kind} ${label}`);

  it("finds by a part of a name, those that begin with it first", () => {
    assert.deepEqual(labels("GPU"), ["Worker gpu-1", "Worker big-gpu", "Queue gpu"]);
    assert.deepEqual(labels("page"), ["Tasks of the type ocr.page"]);
    assert.deepEqual(labels("nothing"), []);
  });

  it("takes a number, an id and an attempt for a task", () => {
    for (const text of ["42", "t-42", " T-42.3 "]) assert.deepEqual(labels(text), ["Task t-42"], text);
  });

  it("finds pools, schedules, batches and keys", () => {
    const known = { ...NOTHING_KNOWN, pools: ["night"], schedules: ["nightly"], keys: ["night:1 & 2"] };
    assert.deepEqual(
      find("night", known, []).map(({ kind, to }) => [kind, to]),
      [
        ["Pool", "/pools/night"],
        ["Schedule", "/schedules/nightly"],
        ["Key", "/limits?key=night%3A1+%26+2"],
      ],
    );
    assert.deepEqual(find("B-17", NOTHING_KNOWN, [])[0]?.to, "/batches/b-17");
    assert.deepEqual(find("", known, []), []);
  });

  it("encodes names in addresses", () => {
    const [found] = find("a/", { ...NOTHING_KNOWN, workers: ["a/b?c"] }, []);
    assert.equal(found?.to, "/workers/a%2Fb%3Fc");
  });
});
