import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { madeSchedule } from "../schedules/testing/made-schedule.ts";
import { scheduleCheck } from "./schedule-check.ts";

const NOW = Date.UTC(2026, 0, 1);

const summary = (...schedules: Parameters<typeof madeSchedule>[0][]) => {
  const check = scheduleCheck(
    schedules.map((fields) => madeSchedule(fields)),
    NOW,
  );
  return `${check.status} ${check.summary}`;
};

describe("the check of schedules", () => {
  it("is well without a schedule in trouble", () => {
    assert.equal(summary(), "ok no schedule fails, is late or paused");
    assert.equal(summary({ dueMs: NOW - 60_000 }), "ok no schedule fails, is late or paused");
  });

  it("names the worst one: late before failing, failing before paused", () => {
    const paused = { name: "p", pause: { reason: "by ada", sinceMs: NOW - 3_600_000 } };
    const failure = { code: "QUEUE_FULL", message: "full", sinceMs: NOW - 90_000, count: 3 };
    assert.equal(
      summary(paused),
      "note 1 schedule is late, failing or paused: p has been paused for 60 min (by ada)",
    );
    assert.equal(
      summary(paused, { name: "f", failure, dueMs: NOW }),
      "warning 2 schedules are late, failing or paused: f has been refused for 90 s, 3 times (QUEUE_FULL)",
    );
    assert.equal(
      summary(paused, { name: "f", failure, dueMs: NOW }, { name: "l", dueMs: NOW - 120_000 }),
      "failed 3 schedules are late, failing or paused: l has a tick that has been due for 2 min",
    );
  });

  it("warns of a pause that lasts longer than a day", () => {
    const pause = { reason: "by ada", sinceMs: NOW - 25 * 3_600_000 };
    assert.match(summary({ name: "p", pause }), /^warning .* paused for 25 h/);
  });
});
