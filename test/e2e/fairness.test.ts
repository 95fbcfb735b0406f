/** Runs the examples of docs/fairness.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/fairness.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/fairness.md");
  });

  after(() => examples.stop());

  it("sets weights of queues and keys with the CLI, then submits in TypeScript", async () => {
    const shell = await examples.shell("sh run");
    assert.match(shell.stdout, /^checkout has weight 3; 0 tasks ready to start$/m);
    assert.match(shell.stdout, /^checkout\topen\t.*\t3\t\t\t0$/m);
    assert.match(shell.stdout, /^the weight of tenant-7 in reports is 2; 1 ready to start, 0 active$/m);
    assert.match(shell.stdout, /^tenant-7\t2\*\t1\t0\t0$/m);

    await examples.program("ts submit.ts");
    const { fairnessKeys } = await examples.fleet.client.fleet.listFairnessKeys({ queue: "reports" });
    assert.deepEqual(
      fairnessKeys.map(({ key, weight, overridden, readyCount }) => [key, weight, overridden, readyCount]),
      [
        ["tenant-1", 1, false, 1n],
        ["tenant-7", 2, true, 2n],
      ],
    );
  });
});
