/** Runs the examples of docs/bulk-operations.md, and asks the questions of its commands. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { DocExamples } from "../support/fleet/doc-examples.ts";
import { runMuster } from "../support/programs/run-muster.ts";

describe("the examples of docs/bulk-operations.md", () => {
  let examples: DocExamples;

  before(async () => {
    examples = await DocExamples.start("docs/bulk-operations.md");
  });

  after(() => examples.stop());

  it("cancels, moves, reprioritises, retries and deletes with the CLI", async () => {
    const { stdout } = await examples.shell("sh run");
    assert.match(stdout, /2 moved to the queue spare\n2 have the priority 5 now\n/);
    assert.match(
      stdout,
      /2 tasks would change\nt-1\tqueued\tocr\.page\tspare\t.*\n.*\n2 cancelled\n2 queued again\n/,
    );
    assert.match(stdout, /"doneCount":"2",.*"finished":true.*\n2 deleted\n$/);
    const events = await examples.fleet.db.query<{ name: string; reason: string }>(
      "select name, attributes ->> 'reason' as reason from event where task_id = 1 order by id",
    );
    assert.deepEqual(
      events.map(({ name }) => name),
      ["moved", "priority_changed", "cancelled", "retry_requested", "cancelled", "deleted"],
    );
    assert.equal(events[2]?.reason, "the wrong pages");
  });

  it("lists by times and the text of the error", async () => {
    assert.equal((await examples.shell("sh list")).stdout, "");
  });

  it("cancels in TypeScript", async () => {
    assert.equal(await examples.program("ts bulk.ts"), "3 cancelled, 0 reasons to skip");
  });

  it("refuses without a confirmation, without a filter, for an unknown queue, and for named tasks that stay", async () => {
    const { client, scheduler } = examples.fleet;
    const task = await client.submit("ocr.page", 1, { queue: "asked" });
    const muster = (...args: string[]) => runMuster(scheduler.grpc, args);
    const unconfirmed = await muster("cancel", "--queue", "asked");
    assert.equal(unconfirmed.code, 4);
    assert.match(unconfirmed.stderr, /error: 1 task matches; nothing was done\n.*muster cancel \.\.\. --yes/);
    const unfiltered = await muster("cancel");
    assert.equal(unfiltered.code, 2);
    assert.match(unfiltered.stderr, /no task is named, and the filter has no condition/);
    const unknown = await muster("move", task.id, "--to", "asekd");
    assert.equal(unknown.code, 3);
    assert.match(unknown.stderr, /there is no queue "asekd"/);
    const named = await muster("delete", task.id, "t-999999");
    assert.equal(named.code, 4);
    assert.match(named.stderr, /skipped 1: TASK_NOT_ENDED: .*\(t-\d+\)/);
    assert.match(named.stderr, /skipped 1: TASK_NOT_FOUND: .*\(t-999999\)/);
    assert.equal((await client.get(task.id)).queue, "asked");
    const missing = await muster("delete", "t-999999");
    assert.equal(missing.code, 3);
    const filtered = await muster("cancel", task.id, "--queue", "nowhere", "--yes");
    assert.deepEqual([filtered.code, filtered.stdout], [4, "0 cancelled\n"]);
    assert.match(
      filtered.stderr,
      /the filter does not match 1 of the named tasks\nerror: 1 task stays as it is/,
    );
    const none = await muster("cancel", "--queue", "nowhere", "--yes");
    assert.deepEqual([none.code, none.stdout], [0, "0 cancelled\n"]);
  });
});
