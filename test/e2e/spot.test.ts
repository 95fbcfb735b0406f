/** Runs the example of docs/spot.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the example of docs/spot.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/spot.md");
  });

  after(() => examples.stop());

  it("a worker drains because its machine is interrupted", async () => {
    await examples.files("js worker.js", "js endpoint.mjs");
    const { stdout } = await examples.shell("sh run", { inFolder: true });
    assert.match(stdout, /EXITED/);
    assert.match(stdout, /aws ended its machine \(terminate\); it exited with code 0 after /);
  });
});
