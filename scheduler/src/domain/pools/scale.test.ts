import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CronTimes } from "../schedules/cron.ts";
import {
  type Demand,
  desired,
  highestWanted,
  minimumAt,
  type NextTime,
  usualStart,
  withWanted,
} from "./scale.ts";

const nextTime: NextTime = (cron, timezone, afterMs) => new CronTimes(cron, timezone).nextAfter(afterMs);
const never: NextTime = () => undefined;

const OFFER = { types: ["t"], queues: ["q"], labels: {}, resources: [], capacities: {}, slots: 2 };
const SPEC = { minWorkers: 1, maxWorkers: 10, offer: OFFER, scheduledMinimums: [] };
const NOTHING: Demand = { waiting: 0, held: 0, ready: 0, completionsPerSecond: 0, usualStartMs: undefined };

const wanted = (demand: Partial<Demand>) => desired(SPEC, { ...NOTHING, ...demand }, 0, never);

describe("the number of workers that a pool is to have", () => {
  it("would run everything that waits and is held at once, within the bounds", () => {
    assert.deepEqual(wanted({}), { count: 1, forWork: 0, counted: 0, minimum: 1, bound: "minimum" });
    assert.equal(wanted({ waiting: 3, held: 2 }).count, 3, "5 attempts in slots of 2");
    assert.deepEqual(wanted({ waiting: 100 }), {
      count: 10,
      forWork: 50,
      counted: 100,
      minimum: 1,
      bound: "maximum",
    });
  });

  it("leaves out tasks that the ready workers begin before a new one could", () => {
    const demand = { waiting: 100, held: 2, ready: 1, completionsPerSecond: 2 };
    assert.equal(wanted({ ...demand, usualStartMs: 60_000 }).counted, 0, "120 end within a minute");
    assert.equal(wanted({ ...demand, usualStartMs: 10_000 }).counted, 80);
    assert.equal(wanted({ ...demand, usualStartMs: undefined }).counted, 100, "the time is not measured");
    assert.equal(wanted({ ...demand, ready: 0, usualStartMs: 60_000 }).counted, 100, "no worker runs them");
  });

  it("follows scheduled minimums in their time zones", () => {
    const office = {
      cron: "0 8 * * MON-FRI",
      timezone: "Europe/Berlin",
      durationMs: 10 * 3_600_000,
      minWorkers: 4,
    };
    const spec = { minWorkers: 1, scheduledMinimums: [office] };
    const at = (time: string) => minimumAt(spec, Date.parse(time), nextTime);
    assert.equal(at("2026-07-06T05:59:00Z"), 1, "07:59 on a Monday");
    assert.equal(at("2026-07-06T06:00:00Z"), 4, "08:00");
    assert.equal(at("2026-07-06T15:59:00Z"), 4, "17:59");
    assert.equal(at("2026-07-06T16:00:00Z"), 1, "18:00");
    assert.equal(at("2026-07-05T10:00:00Z"), 1, "a Sunday");
  });

  it("keeps the bounds whatever the work", () => {
    const numbers = fc.record({
      waiting: fc.nat(100_000),
      held: fc.nat(1_000),
      ready: fc.nat(100),
      completionsPerSecond: fc.double({ min: 0, max: 1_000, noNaN: true }),
      usualStartMs: fc.option(fc.nat(3_600_000), { nil: undefined }),
    });
    const bounds = fc
      .tuple(fc.nat(50), fc.nat(50))
      .map(([a, b]) => ({ minWorkers: a, maxWorkers: Math.max(1, a + b) }));
    fc.assert(
      fc.property(numbers, bounds, (demand, { minWorkers, maxWorkers }) => {
        const { count } = desired({ ...SPEC, minWorkers, maxWorkers }, demand, 0, never);
        assert.ok(count >= minWorkers && count <= maxWorkers);
        const more = desired(
          { ...SPEC, minWorkers, maxWorkers },
          { ...demand, waiting: demand.waiting + 10 },
          0,
          never,
        );
        assert.ok(more.count >= count, "more work wants no fewer workers");
      }),
    );
  });
});

describe("the stabilization window", () => {
  it("has the highest count that was wanted within it", () => {
    let record = withWanted([], 5, 0, 60_000);
    record = withWanted(record, 2, 10_000, 60_000);
    record = withWanted(record, 3, 20_000, 60_000);
    assert.equal(highestWanted(record), 5);
    assert.equal(highestWanted(withWanted(record, 3, 69_999, 60_000)), 5, "wanted until 10 s");
    assert.equal(highestWanted(withWanted(record, 3, 70_000, 60_000)), 3);
  });

  it("is the same record while nothing changes", () => {
    const record = withWanted([], 5, 0, 60_000);
    assert.equal(withWanted(record, 5, 1_000_000, 60_000), record);
  });

  it("agrees with a record of every second, and keeps few entries", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(8), { minLength: 1, maxLength: 200 }), (counts) => {
        const windowMs = 20_000;
        let record: ReturnType<typeof withWanted> = [];
        counts.forEach((count, second) => {
          record = withWanted(record, count, second * 1_000, windowMs);
          // A count applies until the next look.
          const recent = counts.slice(Math.max(0, second - 20), second + 1);
          assert.equal(highestWanted(record), Math.max(...recent), `second ${second} of ${counts.join()}`);
          assert.ok(record.length <= 9);
        });
      }),
    );
  });
});

describe("the usual time of a start", () => {
  it("is the middle one, and unknown without any", () => {
    assert.equal(usualStart([]), undefined);
    assert.equal(usualStart([9_000, 1_000, 2_000]), 2_000);
  });
});
