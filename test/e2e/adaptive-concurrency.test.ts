/** Runs the example of docs/adaptive-concurrency.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the example of docs/adaptive-concurrency.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/adaptive-concurrency.md");
  });

  after(() => examples.stop());

  it("raises the limit while as many attempts run as it allows", async () => {
    const output = await examples.program("ts adaptive.ts", { WORKER_LOG_LEVEL: "error" });
    assert.match(output.split("\n").at(-1) ?? "", /^raised to [345]$/);
  });
});
