import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CronTimes } from "./cron.ts";
import { isTimeZone } from "./time-zone.ts";

/** The first ticks after a moment, in UTC. */
function ticks(expression: string, timezone: string, after: string, count: number): string[] {
  const times = new CronTimes(expression, timezone);
  const found: string[] = [];
  let ms: number | undefined = Date.parse(after);
  while (ms !== undefined && found.length < count) {
    ms = times.nextAfter(ms);
    if (ms !== undefined) found.push(new Date(ms).toISOString().replace(":00.000Z", ""));
  }
  return found;
}

const BERLIN = "Europe/Berlin";

describe("cron in a time zone, when the clock is put forward (Berlin, 29 March 2026, 02:00 to 03:00)", () => {
  it("moves a skipped local time forward by the hour", () => {
    assert.deepEqual(ticks("30 2 * * *", BERLIN, "2026-03-28T12:00Z", 2), [
      "2026-03-29T01:30",
      "2026-03-30T00:30",
    ]);
    assert.deepEqual(ticks("*/30 2 * * *", BERLIN, "2026-03-28T12:00Z", 3), [
      "2026-03-29T01:00",
      "2026-03-29T01:30",
      "2026-03-30T00:00",
    ]);
  });

  it("has one tick where a moved local time meets another", () => {
    assert.deepEqual(ticks("0 2,3 * * *", BERLIN, "2026-03-28T12:00Z", 2), [
      "2026-03-29T01:00",
      "2026-03-30T00:00",
    ]);
    assert.deepEqual(ticks("*/30 * * * *", BERLIN, "2026-03-29T00:15Z", 4), [
      "2026-03-29T00:30",
      "2026-03-29T01:00",
      "2026-03-29T01:30",
      "2026-03-29T02:00",
    ]);
  });

  it("finds the same ticks from every moment around the change", () => {
    for (let minute = -90; minute < 90; minute += 5) {
      const after = new Date(Date.parse("2026-03-29T01:00Z") + minute * 60_000).toISOString();
      const expected = minute < 30 ? "2026-03-29T01:30" : "2026-03-30T00:30";
      assert.deepEqual(ticks("30 2 * * *", BERLIN, after, 1), [expected], after);
    }
  });
});

describe("cron in a time zone, when the clock is put back (Berlin, 25 October 2026, 03:00 to 02:00)", () => {
  it("takes a doubled local time once, the first time", () => {
    assert.deepEqual(ticks("30 2 * * *", BERLIN, "2026-10-24T12:00Z", 2), [
      "2026-10-25T00:30",
      "2026-10-26T01:30",
    ]);
    assert.deepEqual(ticks("0,30 2-3 * * *", BERLIN, "2026-10-24T12:00Z", 4), [
      "2026-10-25T00:00",
      "2026-10-25T00:30",
      "2026-10-25T02:00",
      "2026-10-25T02:30",
    ]);
    for (const after of ["2026-10-25T00:30Z", "2026-10-25T00:59Z", "2026-10-25T01:00Z", "2026-10-25T01:45Z"])
      assert.deepEqual(ticks("30 2 * * *", BERLIN, after, 1), ["2026-10-26T01:30"], after);
  });

  it("takes it both times when every hour is meant", () => {
    for (const expression of ["0 * * * *", "@hourly", "0 0 * * * *"])
      assert.deepEqual(
        ticks(expression, BERLIN, "2026-10-24T23:30Z", 4),
        ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00", "2026-10-25T03:00"],
        expression,
      );
  });
});

describe("cron in a time zone", () => {
  it("has a leap day every fourth year", () => {
    assert.deepEqual(ticks("0 12 29 2 *", BERLIN, "2026-03-01T00:00Z", 2), [
      "2028-02-29T11:00",
      "2032-02-29T11:00",
    ]);
    assert.deepEqual(ticks("0 12 29 2 *", "UTC", "2096-03-01T00:00Z", 1), ["2104-02-29T12:00"]);
  });

  it("follows zones whose change is at midnight, of half an hour, or of a day", () => {
    // Santiago, 6 September 2026: 00:00 becomes 01:00.
    assert.deepEqual(ticks("0 0 * * *", "America/Santiago", "2026-09-05T12:00Z", 2), [
      "2026-09-06T04:00",
      "2026-09-07T03:00",
    ]);
    // Lord Howe, 4 October 2026: 02:00 becomes 02:30.
    assert.deepEqual(ticks("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T12:00Z", 2), [
      "2026-10-03T15:45",
      "2026-10-04T15:15",
    ]);
    // Apia had no 30 December 2011.
    assert.deepEqual(ticks("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00Z", 3), [
      "2011-12-29T22:00",
      "2011-12-30T22:00",
      "2011-12-31T22:00",
    ]);
  });

  it("is the same as in UTC where the zone is UTC", () => {
    assert.deepEqual(ticks("*/15 9 * * MON-FRI", "UTC", "2026-11-27T09:40Z", 2), [
      "2026-11-27T09:45",
      "2026-11-30T09:00",
    ]);
  });

  it("has no tick on a day that never comes", () => {
    assert.deepEqual(ticks("0 0 31 2 *", BERLIN, "2026-03-01T00:00Z", 1), []);
  });

  it("refuses what is no expression, and what is no zone", () => {
    for (const expression of ["", "61 * * * *", "* * * *", "* * * * * * *", "tomorrow", "@often"])
      assert.throws(() => new CronTimes(expression, "UTC"), Error, expression);
    assert.throws(() => new CronTimes("* * * * *", "Europe/Berlín"), RangeError);
    assert.equal(isTimeZone("Europe/Berlin"), true);
    assert.equal(isTimeZone("Middle/Earth"), false);
    assert.equal(isTimeZone(""), false);
  });
});
