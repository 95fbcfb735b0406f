import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import { PartitionMaker } from "./partition-maker.ts";
import { Retention } from "./retention.ts";

describe("retention", () => {
  const run = async (lead: boolean, dropped: number | undefined) => {
    const { log, events } = recordedLog();
    const kept: number[] = [];
    const store = {
      lead: async (name: string) => lead && name === "retention",
      dropOld: async (keepDays: number) => {
        kept.push(keepDays);
        return dropped;
      },
    };
    await new Retention({ store, schedulerId: "s-1", keepDays: 7, log }).runOnce();
    return { events, kept };
  };

  it("drops what is older than the retention, and logs it", async () => {
    assert.deepEqual(await run(true, 2), { events: ["retention.dropped"], kept: [7] });
    assert.deepEqual((await run(true, 0)).events, []);
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
