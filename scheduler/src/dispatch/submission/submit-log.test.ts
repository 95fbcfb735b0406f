import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { LogFields } from "../../telemetry/logs/logger.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { SubmitLog } from "./submit-log.ts";

function setup() {
  const clock = new ManualClock();
  const counters = { submitted: 0, duplicates: 0 };
  const lines: LogFields[] = [];
  const log = new SubmitLog({
    clock,
    counters,
    log: { info: (event, fields) => void lines.push({ named: event, ...fields }) },
  });
  const insert = (taskId: number, count: number) => {
    counters.submitted += count;
    log.noteBatch({ taskId, type: "t", queue: "q" });
  };
  return { clock, counters, lines, log, insert };
}

describe("the log of submits", () => {
  it("names the first batch at once, and then one a second with the counts since the last line", async () => {
    const { clock, counters, lines, insert } = setup();
    insert(1, 3);
    insert(4, 2);
    insert(6, 5);
    counters.duplicates = 1;
    await clock.pass(999);
    assert.equal(lines.length, 1);
    await clock.pass(1);
    const where = { named: "tasks.submitted", task_type: "t", queue: "q" };
    assert.deepEqual(lines, [
      { ...where, count: 3, duplicates: 0, batches: 1, example_task_id: "t-1" },
      { ...where, count: 7, duplicates: 1, batches: 2, example_task_id: "t-6" },
    ]);
  });

  it("is silent while nothing is submitted, and then logs at once again", async () => {
    const { clock, lines, insert } = setup();
    insert(1, 1);
    await clock.pass(10_000);
    assert.equal(lines.length, 1);
    insert(2, 1);
    assert.equal(lines.length, 2);
  });

  it("writes what is left when it stops", () => {
    const { lines, log, insert } = setup();
    insert(1, 1);
    insert(2, 4);
    log.stop();
    assert.deepEqual(
      lines.map(({ count }) => count),
      [1, 4],
    );
    log.stop();
    assert.equal(lines.length, 2);
  });
});
