import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Schedule } from "./schedule.ts";
import { advanceSchedule, setSchedule } from "./schedule-changes.ts";
import { madeSchedule } from "./testing/made-schedule.ts";
import { planTicks, type TickPlan } from "./tick-plan.ts";
import { dueTime, firstTicks, nextTickOf } from "./tick-times.ts";

const SECOND = 1_000;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;

/** Every plan until nothing is due any more, as the runs of a scheduler make them. */
function decide(
  before: Schedule,
  nowMs: number,
  most = 50,
): { submitted: number[]; missed: number; after: Schedule } {
  let schedule = before;
  const submitted: number[] = [];
  let missed = 0;
  for (let runs = 0; ; runs++) {
    assert.ok(runs < 1_000, "it comes to an end");
    const plan: TickPlan = planTicks(schedule, nextTickOf(schedule), nowMs, most);
    submitted.push(...plan.submit);
    missed += plan.missed?.count ?? 0;
    const records = plan.submit.map(
      (tickMs) => ({ tickMs, outcome: "submitted", decidedMs: nowMs }) as const,
    );
    schedule = advanceSchedule(schedule, plan, records, [], nowMs);
    if (schedule.dueMs === undefined || schedule.dueMs > nowMs) return { submitted, missed, after: schedule };
  }
}

describe("the plan of due ticks", () => {
  it("submits the tick that is due, and names the next one", () => {
    const plan = planTicks(madeSchedule(), nextTickOf(madeSchedule()), HOUR + 5, 50);
    assert.deepEqual(plan, {
      ...{ submit: [HOUR], missed: undefined, positionMs: HOUR },
      ...{ nextMs: 2 * HOUR, dueMs: 2 * HOUR },
    });
  });

  it("has nothing to do before its time, and when the clock was put back", () => {
    const schedule = madeSchedule({ positionMs: 5 * HOUR, nextMs: 6 * HOUR });
    for (const nowMs of [6 * HOUR - 1, 2 * HOUR, 0]) {
      const { submit, missed, positionMs, nextMs } = planTicks(schedule, nextTickOf(schedule), nowMs, 50);
      assert.deepEqual([submit, missed, positionMs, nextMs], [[], undefined, 5 * HOUR, 6 * HOUR]);
    }
  });

  it("after a week without a scheduler follows the catch-up policy", () => {
    const now = 7 * DAY + 10 * 60_000;
    const ticks = Array.from({ length: 168 }, (_, index) => (index + 1) * HOUR);
    const week = (fields: Partial<Schedule>) => decide(madeSchedule(fields), now);
    assert.deepEqual(week({ catchUp: "none" }).submitted, []);
    assert.equal(week({ catchUp: "none" }).missed, 168);
    assert.deepEqual(week({ catchUp: "last" }).submitted, [168 * HOUR]);
    assert.equal(week({ catchUp: "last" }).missed, 167);
    assert.deepEqual(week({ catchUp: "all", catchUpLimit: 1_000 }).submitted, ticks);
    const limited = week({ catchUp: "all", catchUpLimit: 100 });
    assert.deepEqual([limited.submitted, limited.missed], [ticks.slice(-100), 68]);
    assert.equal(limited.after.nextMs, 169 * HOUR);
  });

  it("counts a tick that is a minute late as on time", () => {
    assert.deepEqual(decide(madeSchedule({ catchUp: "none" }), HOUR + 60 * SECOND).submitted, [HOUR]);
    assert.deepEqual(decide(madeSchedule({ catchUp: "none" }), HOUR + 61 * SECOND).submitted, []);
    const both = decide(madeSchedule({ catchUp: "none" }), 2 * HOUR + 1);
    assert.deepEqual([both.submitted, both.missed], [[2 * HOUR], 1]);
  });

  it("counts the missed ticks of a week of seconds exactly", () => {
    const everySecond = { timing: { kind: "interval", everyMs: SECOND } } as const;
    const last = decide(madeSchedule(everySecond), 7 * DAY);
    assert.deepEqual([last.submitted, last.missed], [[7 * DAY], 7 * 86_400 - 1]);
    assert.deepEqual(
      last.after.ticks.map(({ outcome, count, tickMs, lastMs }) => [outcome, count, tickMs, lastMs]),
      [
        ["submitted", undefined, 7 * DAY, undefined],
        ["missed", 7 * 86_400 - 1, SECOND, 7 * DAY - SECOND],
      ],
    );
    const all = decide(madeSchedule({ ...everySecond, catchUp: "all", catchUpLimit: 3 }), DAY, 2);
    assert.deepEqual([all.submitted, all.missed], [[DAY - 2 * SECOND, DAY - SECOND, DAY], 86_397]);
  });

  it("ends with the end of the schedule, whose own moment is a tick", () => {
    const schedule = madeSchedule({ endMs: 2 * HOUR, catchUp: "all" });
    const { submitted, after } = decide(schedule, 5 * HOUR);
    assert.deepEqual([submitted, after.nextMs, after.dueMs], [[HOUR, 2 * HOUR], undefined, undefined]);
  });

  it("runs a local time once over both changes of daylight saving, also when it was down", () => {
    const timing = { kind: "cron", expression: "30 2 * * *", timezone: "Europe/Berlin" } as const;
    for (const [from, to, expected] of [
      ["2026-03-28T12:00Z", "2026-03-30T12:00Z", ["2026-03-29T01:30", "2026-03-30T00:30"]],
      ["2026-10-24T12:00Z", "2026-10-26T12:00Z", ["2026-10-25T00:30", "2026-10-26T01:30"]],
    ] as const) {
      const schedule = madeSchedule({ timing, catchUp: "all", positionMs: Date.parse(from) });
      const atOnce = decide(schedule, Date.parse(to)).submitted;
      assert.deepEqual(
        atOnce.map((tick) => new Date(tick).toISOString().slice(0, 16)),
        expected,
      );
      // The same in steps of a quarter of an hour.
      let stepped = schedule;
      const one: number[] = [];
      for (let now = Date.parse(from); now <= Date.parse(to); now += HOUR / 4) {
        const { submitted, after } = decide(stepped, now);
        one.push(...submitted);
        stepped = after;
      }
      assert.deepEqual(one, atOnce);
    }
  });
});

describe("jitter", () => {
  const jittered = madeSchedule({ jitterMs: 600_000 });

  it("is the same for the same name and tick, within its limit, and differs between ticks and names", () => {
    const delays = Array.from({ length: 200 }, (_, index) => dueTime(jittered, index * HOUR) - index * HOUR);
    assert.ok(delays.every((delay) => delay >= 0 && delay < 600_000));
    assert.ok(new Set(delays).size > 190);
    assert.deepEqual(
      delays,
      delays.map((_, index) => dueTime(jittered, index * HOUR) - index * HOUR),
    );
    assert.notEqual(dueTime(jittered, HOUR), dueTime({ ...jittered, name: "other" }, HOUR));
    const mean = delays.reduce((sum, delay) => sum + delay, 0) / delays.length;
    assert.ok(mean > 200_000 && mean < 400_000, `${mean}`);
  });

  it("delays the submit and not the tick", () => {
    const due = dueTime(jittered, HOUR);
    assert.deepEqual(decide(jittered, due - 1).submitted, []);
    assert.deepEqual(decide(jittered, due).submitted, [HOUR]);
  });
});

describe("setting a schedule", () => {
  const { name, queue, type, timing, jitterMs, catchUp, catchUpLimit, overlap } = madeSchedule();
  const wanted = { name, queue, type, timing, jitterMs, catchUp, catchUpLimit, overlap };

  it("begins after now, and at its start, from which intervals are counted", () => {
    assert.deepEqual(firstTicks(nextTickOf(setSchedule(undefined, wanted, 90)), 90, 2), [HOUR, 2 * HOUR]);
    const later = setSchedule(undefined, { ...wanted, startMs: 10 * HOUR + 7 }, 90);
    assert.deepEqual(firstTicks(nextTickOf(later), 90, 2), [10 * HOUR + 7, 11 * HOUR + 7]);
    assert.deepEqual([later.nextMs, later.dueMs, later.positionMs], [10 * HOUR + 7, 10 * HOUR + 7, 90]);
  });

  it("keeps its place while the timing stays, and a tick that is due", () => {
    const before = setSchedule(undefined, wanted, 90);
    const same = setSchedule(before, { ...wanted, overlap: "queue" }, 3 * HOUR);
    assert.deepEqual([same.nextMs, same.positionMs, same.version, same.createdMs], [HOUR, 90, 2, 90]);
    const other = setSchedule(
      before,
      { ...wanted, timing: { kind: "interval", everyMs: 2 * HOUR } },
      3 * HOUR,
    );
    assert.deepEqual([other.nextMs, other.positionMs], [4 * HOUR, 3 * HOUR]);
  });
});
