/** Runs the examples of docs/circuits.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/circuits.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/circuits.md");
  });

  after(() => examples.stop());

  it("an operator opens and resets a circuit with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /the circuit provider-a is open; it probes /);
    assert.match(stdout, /CIRCUIT_OPEN/);
    assert.match(stdout, /^provider-a\topen\t/m);
    assert.match(stdout, /the circuit provider-a is closed/);
  });

  it("a worker's failures open a circuit, and a probe closes it", async () => {
    const output = await examples.program("ts charge.ts");
    const lines = output.split("\n");
    assert.deepEqual(
      lines.filter((line) => !line.startsWith("{")),
      ["PROVIDER_DOWN", "PROVIDER_DOWN", "charged"],
    );
  });
});
