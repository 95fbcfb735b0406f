/** Runs the examples of docs/dependencies.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/dependencies.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/dependencies.md");
  });

  after(() => examples.stop());

  it("waits with the CLI, shows both directions, and ends with its predecessor", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /waited for by\tt-2\tsucceeded\tqueued\t/);
    assert.match(stdout, /waited for by\tt-3\tended\tqueued/);
    assert.match(stdout, /WAITING_FOR_TASKS.*it waits for 1 task of 1: the success of t-1 \(page\.fetch\)/s);
    const { reason } = await examples.fleet.taskReason("t-2", "DEPENDENCY_FAILED", 5_000);
    assert.match(reason.summary, /t-1, which it waited for, was cancelled/);
  });

  it("submits a graph in TypeScript", async () => {
    const output = await examples.program("ts graph.ts");
    assert.equal(output, "waiting_for_tasks");
  });
});
