/** Runs the examples of docs/editing-tasks.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/editing-tasks.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/editing-tasks.md");
  });

  after(() => examples.stop());

  const run = async (block: string): Promise<string> => (await examples.shell(`sh run ${block}`)).stdout;

  it("finds tasks by their tags, with the CLI and in TypeScript", async () => {
    const lines = (await run("tags")).trimEnd().split("\n");
    assert.deepEqual(lines.slice(0, 2), ["t-1", "t-2"]);
    assert.equal(lines.length, 3);
    assert.match(lines[2] ?? "", /^t-1\tqueued\tready\tocr\.page\t/);
    assert.equal(await examples.program("ts tags.ts"), "[ [ 'import-18' ] ]");
  });

  it("holds a task back, explains it and releases it", async () => {
    const text = await run("holds");
    assert.match(text, /^(t-\d+) is held \(the amount is checked again \(by .+\)\); `muster release \1`/);
    assert.match(text, /\tqueued\theld\tinvoice\.send\t/);
    assert.match(text, /TASK_HELD.*the amount is checked again/s);
    assert.match(text, /(t-\d+) is not held and may start\n$/);
  });

  it("takes a task from its worker", async () => {
    const { fleet } = examples;
    await fleet.worker("ocr-3", { queue: "scans", slots: 1 });
    const { id } = await fleet.client.submit("gate", { gate: fleet.gate().path }, { queue: "scans" });
    await fleet.started(id);
    const text = await run("revocations");
    assert.match(text, new RegExp(`^${id}\\.1 was taken from ocr-3; ${id} waits for a worker$`, "m"));
    assert.match(text, /WORKERS_PAUSED.*its disk is slow/s);
    await fleet.started(id, 2);
    assert.equal(await examples.program("ts revocations.ts", { TASK_ID: id }), "scheduled");
  });

  it("changes a task that waits", async () => {
    assert.match(
      await run("edits"),
      /^(t-\d+) priority: 0 -> 10\n\1 run timeout: none -> 2 h\n\1 retries: default -> 5\n\1 start: \S+ -> now\n$/,
    );
    assert.equal(await examples.program("ts edits.ts"), "10 scheduled");
  });

  it("keeps the ended tasks of a queue for a shorter time", async () => {
    assert.equal(await run("retention"), "previews has retention=2d\npreviews has no settings of its own\n");
  });
});
