/** Runs the examples of docs/unique-keys.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/unique-keys.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/unique-keys.md");
  });

  after(() => examples.stop());

  it("debounces with the CLI", async () => {
    const { stdout, stderr } = await examples.shell("sh run");
    assert.match(stderr, /t-1 waited, and has the payload and options of this submit now/);
    assert.match(stdout, /\{"revision": 2\}/);
  });

  it("debounces in TypeScript", async () => {
    const output = await examples.program("ts debounce.ts");
    assert.equal(output, "created\nreplaced\nreplaced");
  });
});
