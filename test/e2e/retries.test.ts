/** Runs the examples of docs/retries.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/retries.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/retries.md");
  });

  after(() => examples.stop());

  /** Words that the example prints, each on a line. */
  async function run(name: string): Promise<string[]> {
    const output = await examples.program(`ts ${name}`, { WORKER_LOG_LEVEL: "error" });
    return output.split("\n").filter((line) => /^[a-zA-Z_]+( with \d+ MB)?$/.test(line));
  }

  it("sets defaults of a queue with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    const settings = "backoff=10s,factor=2,max=10m";
    assert.match(stdout, new RegExp(`^mail has max-retries=10 ${settings}$`, "m"));
    assert.match(
      stdout,
      /^retries\t2 \(of the task\), waits 10s,factor=2,max=10m \(default of queue mail\)$/m,
    );
    assert.match(stdout, new RegExp(`^mail\\topen\\t.*\\tmax-retries=10 ${settings}\\t\\d*\\t\\d+$`, "m"));
    assert.match(stdout, new RegExp(`^mail has ${settings}$`, "m"));
  });

  it("retries a timeout, unless the policy excludes it", async () => {
    assert.deepEqual(await run("retry.ts"), ["rendered", "TIMED_OUT"]);
  });

  it("ends a task whose budget of iterations is used up", async () => {
    assert.deepEqual(await run("budget.ts"), ["fixed", "BUDGET_EXHAUSTED"]);
  });

  it("raises the cost of a task that ran out of memory", async () => {
    assert.deepEqual(await run("out-of-memory.ts"), ["indexed with 64 MB"]);
  });
});
