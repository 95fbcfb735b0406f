/** Runs the examples of docs/capacity.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/capacity.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/capacity.md");
  });

  after(() => examples.stop());

  it("run no more than fit at once, and warn of what never fits", async () => {
    const output = await examples.program("ts capacity.ts");
    assert.equal(output, "2 at once\nNEVER_FITS");
    const { stdout, stderr } = await examples.shell("sh run");
    assert.match(stderr, /NEVER_FITS it costs 80000 gpu_memory_mb/);
    assert.match(stdout, /NEVER_FITS/);
  });
});
