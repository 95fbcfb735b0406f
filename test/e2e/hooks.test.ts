/** Runs the examples of docs/hooks.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";
import { hasProgram } from "../support/repo/checks.ts";

const present = await Promise.all(["jq", "setsid"].map((name) => hasProgram(name, "--version")));
const missing = ["jq", "setsid"].filter((_, index) => !present[index]);

describe("the examples of docs/hooks.md", {
  skip: missing.length === 0 ? false : `${missing.join(" and ")}: not on the PATH`,
}, () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/hooks.md");
  });

  after(() => examples.stop());

  it("a hook of the shell starts a worker, which runs a task, and ends it", async () => {
    await examples.files("yaml pool.yaml", "js worker.js", "sh hook.sh");
    const { stdout } = await examples.shell("sh run", { inFolder: true });
    assert.match(stdout, /^pool hooked is applied as version 1$/m);
    assert.match(stdout, /Hello, Ada!/);
    assert.match(stdout, /^hooked-[0-9a-f]{12}\tready\t/m);
    assert.match(stdout, /^pool hooked is being deleted; 1 worker to end$/m);
  });
});
