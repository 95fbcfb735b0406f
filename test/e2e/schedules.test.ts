/** Runs the examples of docs/schedules.md. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";

describe("the examples of docs/schedules.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/schedules.md");
  });

  after(() => examples.stop());

  it("an operator sets, shows, runs, pauses and deletes schedules with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /^the schedule nightly-report is set; next tick in /m);
    assert.match(stdout, /^nightly-report\tactive\t30 2 \* \* \* Europe\/Berlin\t/m);
    assert.equal(stdout.match(/^next tick\t\d{4}-\d\d-\d\dT0[01]:30:00\.000Z/gm)?.length, 5);
    assert.match(stdout, /^t-\d+$/m);
    assert.match(stdout, /SCHEDULE_PAUSED/);
    assert.match(stdout, /^the schedule nightly-report is resumed; next tick in /m);
    assert.match(stdout, /^the schedule feed is deleted$/m);
  });

  it("a program sets its schedule and runs it on request", async () => {
    const output = await examples.program("ts report.ts");
    const lines = output.split("\n");
    assert.deepEqual(
      lines.filter((line) => !line.startsWith("{")),
      ["ran on request: true", "5 next ticks"],
    );
  });
});
