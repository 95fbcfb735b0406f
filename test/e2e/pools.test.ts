/** Runs the examples of docs/pools.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/pools.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/pools.md");
  });

  after(() => examples.stop());

  it("an operator plans and applies a pool, whose worker runs a task, and deletes it", async () => {
    await examples.files("yaml pool.yaml", "js worker.js");
    const { stdout } = await examples.shell("sh run", { inFolder: true });
    assert.match(stdout, /^desired\t0\n.*\n.*\n.*\n.*\nsteps\tnothing to do$/m);
    assert.match(stdout, /^pool greeters is applied as version 1$/m);
    assert.match(stdout, /Hello, Ada!/);
    assert.match(stdout, /^greeters\tactive\t1\t0\t0\t/m);
    assert.match(stdout, /^greeters-[0-9a-f]{12}\tready\t/m);
    assert.match(stdout, /POOL_SATISFIED/);
    assert.match(stdout, /^pool greeters is being deleted; 1 worker to end$/m);
  });
});
