/** Runs the examples of docs/rate-limits.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/rate-limits.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/rate-limits.md");
  });

  after(() => examples.stop());

  it("limits, overrides and pauses with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /the rate of smtp is 50\/1m:5; 1 task waiting/);
    assert.match(stdout, /^smtp\t50\/1m\*\t5\t5\t\t\t1\t/m);
    assert.match(stdout, /^smtp\t100\/1m\t10\t10\t\t\t1\t/m);
    assert.match(stdout, /default is limited to 1000\/1h; 1 task ready to start/);
    assert.match(stdout, /smtp is paused for (10 min|9 min 59 s); 1 task waiting\nsmtp is not paused/);
  });

  it("pauses a key in a handler", async () => {
    const output = await examples.program("ts limits.ts");
    assert.match(output, /^200 2$/m);
  });
});
