/** Runs the examples of docs/batches.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/batches.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/batches.md");
  });

  after(() => examples.stop());

  it("fills, shows and cancels a batch with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /^b-1\topen\t0\/2\t0\tt-1\t\S+Z\tbook 7$/m);
    assert.match(stdout, /b-1 is closed: 2 of 2 tasks are open/);
    assert.match(stdout, /progress\t0\/2\nqueued\t2\n/);
    assert.match(stdout, /t-2\tqueued\t.*\tocr\.page\tdefault/);
    assert.match(stdout, /progress\t2\/2\n.*cancelled\t2\ncompletion\tt-1\n/s);
    assert.match(stdout, /cancel reason\tthe wrong book/);
  });

  it("fills and cancels a batch in TypeScript", async () => {
    const output = await examples.program("ts batch.ts");
    assert.equal(output, "3 of 3 wait");
    const listed: unknown[] = [];
    for await (const { title, counts } of examples.fleet.client.batches())
      listed.push([title, counts?.totalCount, counts?.cancelledCount]);
    assert.deepEqual(listed, [
      ["book 8", 3, 3],
      ["book 7", 2, 2],
    ]);
    const [first] = (await examples.fleet.client.tasks.listBatches({ pageSize: 1 })).batches;
    assert.equal(first?.title, "book 8");
  });
});
