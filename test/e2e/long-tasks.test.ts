/** Runs the examples of docs/long-tasks.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/long-tasks.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/long-tasks.md");
  });

  after(() => examples.stop());

  /** The last line that the example prints. */
  async function run(name: string): Promise<string | undefined> {
    const output = await examples.program(`ts ${name}`, { WORKER_LOG_LEVEL: "error" });
    return output.split("\n").at(-1);
  }

  it("goes on from the last checkpoint", async () => {
    assert.equal(await run("checkpoints.ts"), "scanned from page 7");
  });
});
