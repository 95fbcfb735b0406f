import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { ScheduleSpecSchema, TickOutcome } from "@muster/protocol";
import { cronInWords, inZone, tickLook, timingInWords } from "./timing.ts";

describe("the timing of a schedule", () => {
  it("is a cron expression in words, with its time zone", () => {
    const cron = (expression: string, timezone = "") =>
      timingInWords(
        create(ScheduleSpecSchema, { timing: { case: "cron", value: { expression, timezone } } }),
      );
    assert.equal(cron("30 2 * * 1-5", "Europe/Berlin"), "At 02:30, Monday through Friday, Europe/Berlin");
    assert.equal(cron("*/15 * * * *"), "Every 15 minutes, UTC");
    assert.equal(cron("0 30 14 1 * *"), "At 14:30, on day 1 of the month, UTC");
    assert.equal(cron("0 0 * * 0"), "At 00:00, only on Sunday, UTC");
  });

  it("is a cron expression itself where there are no words for it", () => {
    for (const expression of ["every full moon", "99 99 99 99 99", "<img src=x>", "* ".repeat(500)])
      assert.equal(cronInWords(expression), expression);
  });

  it("has words for names of expressions", () => {
    for (const [name, words] of [
      ["@hourly", /hour/],
      ["@daily", /00:00/],
      ["@weekly", /Sunday/],
      ["@monthly", /day 1 of the month/],
      ["@yearly", /January/],
    ] as const)
      assert.match(cronInWords(name), words);
  });

  it("is an interval", () => {
    const timing = { case: "every", value: { seconds: 90n } } as const;
    assert.equal(timingInWords(create(ScheduleSpecSchema, { timing })), "Every 90 s");
    assert.equal(timingInWords(create(ScheduleSpecSchema, {})), "never");
  });
});

describe("a tick", () => {
  it("says how many were missed in a row", () => {
    assert.equal(tickLook({ outcome: TickOutcome.MISSED, count: 12n }).word, "12 missed");
    assert.equal(tickLook({ outcome: TickOutcome.SUBMITTED, count: 1n }).word, "submitted");
  });

  it("is shown by the clock of its schedule", () => {
    const noon = Date.UTC(2026, 6, 1, 12);
    assert.match(inZone(noon, "Europe/Berlin"), /^Wed 01 Jul.* 14:00:00$|^Wed, 0?1 Jul.* 14:00:00$/);
    assert.match(inZone(noon, "Nowhere/Else"), /12:00:00 UTC$/);
  });
});
