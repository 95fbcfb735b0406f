import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import type { PurgeCursor } from "../store/store.ts";
import { ManualClock } from "../testing/manual-clock.ts";
import { PartitionMaker } from "./partition-maker.ts";
import { Retention } from "./retention.ts";

describe("retention", () => {
  const run = async (lead: boolean, dropped: number | undefined, steps = 0, slowMs = 0) => {
    const { log, events } = recordedLog();
    const clock = new ManualClock();
    const cursors: string[] = [];
    const kept: number[] = [];
    const store = {
      lead: async (name: string) => lead && name === "retention",
      dropOld: async (keepDays: number) => {
        kept.push(keepDays);
        return dropped;
      },
      purgeStep: async (keepDays: number, from: PurgeCursor | undefined) => {
        cursors.push(`${keepDays} ${from?.queue ?? "-"} ${from?.block ?? "-"}`);
        await clock.pass(slowMs);
        const block = (from?.block ?? 0) + 1;
        return block > steps
          ? undefined
          : { cursor: { queue: "previews", day: "2026-01-01", block }, keepDays: 2, deleted: block };
      },
    };
    await new Retention({ store, schedulerId: "s-1", keepDays: 7, clock, log }).runOnce();
    return { events, kept, cursors };
  };

  it("drops what is older than the retention, and logs it", async () => {
    const { events, kept } = await run(true, 2);
    assert.deepEqual([events, kept], [["retention.dropped"], [7]]);
    assert.deepEqual((await run(true, 0)).events, []);
  });

  it("deletes the tasks of queues with a shorter one in steps, each from where the last one ended", async () => {
    const { events, cursors } = await run(true, 0, 2);
    assert.deepEqual(cursors, ["7 - -", "7 previews 1", "7 previews 2"]);
    assert.deepEqual(events, ["retention.queue_purged"]);
    assert.equal((await run(true, 0, 100, 60_000)).cursors.length, 10, "the next run goes on");
  });

  it("leaves it to the scheduler that has the lead", async () => {
    assert.deepEqual((await run(false, 2)).kept, []);
  });

  it("fails when a lock is in the way", async () => {
    await assert.rejects(run(true, undefined), /holds a lock/);
  });
});

describe("partition maker", () => {
  const run = async (lead: boolean, made: boolean) => {
    let runs = 0;
    const store = {
      lead: async (name: string) => lead && name === "partitions",
      ensurePartitions: async () => {
        runs++;
        return made;
      },
    };
    await new PartitionMaker(store, "s-1").runOnce();
    return runs;
  };

  it("makes partitions when it has the lead, and fails when a lock is in the way", async () => {
    assert.equal(await run(true, true), 1);
    assert.equal(await run(false, true), 0);
    await assert.rejects(run(true, false), /holds a lock/);
  });
});
