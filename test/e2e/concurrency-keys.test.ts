/** Runs the examples of docs/concurrency-keys.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/concurrency-keys.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/concurrency-keys.md");
  });

  after(() => examples.stop());

  it("runs only the newest deployment", async () => {
    const { stdout, stderr } = await examples.shell("sh run");
    assert.match(stderr, /note: t-2 takes the place of t-1/);
    assert.match(
      stdout,
      /SUPERSEDED[\s\S]*the newer task t-2 took its place for the concurrency key "site-4"/,
    );
  });

  it("applies the changes of an order in their order", async () => {
    const { stdout } = await examples.shell("sh strict");
    const [before = "", after = ""] = stdout.split(/cancelled t-\d+/);
    assert.match(before, /OLDER_TASK_FIRST[\s\S]*"order-17"[\s\S]*scheduled to start in/);
    assert.doesNotMatch(after, /OLDER_TASK_FIRST/);
  });

  it("builds a report once", async () => {
    const output = await examples.program("ts report.ts");
    assert.equal(output, "submitted\nit is being built");
  });
});
