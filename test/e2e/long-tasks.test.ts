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

  it("shows rate and time left, and gives the last progress to the next attempt", async () => {
    const lines = (await examples.program("ts progress.ts", { WORKER_LOG_LEVEL: "error" })).split("\n");
    assert.equal(lines.at(-1), "the first attempt read 6000000 bytes");
    assert.ok(
      lines.some((line) => /^[1-4] MB\/s, \d+ s left$/.test(line)),
      lines.join("\n"),
    );
  });

  it("ends an attempt whose phase passes the limit for its input", async () => {
    const output = await examples.program("ts phases.ts", { WORKER_LOG_LEVEL: "error" });
    const [first, second = ""] = output.split("\n").slice(-2);
    assert.equal(first, "2 min transcribed");
    assert.match(second, /^TIMED_OUT .*Phase inference ran longer than 1\.5 s\.$/);
  });

  it("is explained by what the handler has said of its silence", async () => {
    const output = await examples.program("ts silence.ts", { WORKER_LOG_LEVEL: "error" });
    assert.deepEqual(output.split("\n").slice(-2), ["compiles the shaders", "built"]);
  });

  it("goes on from the last checkpoint", async () => {
    assert.equal(await run("checkpoints.ts"), "scanned from page 7");
  });
});
