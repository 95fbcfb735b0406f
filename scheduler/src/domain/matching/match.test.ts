import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Candidate, FILTERS, type Filter, LASTING_FILTERS, removedBy, type TaskClass } from "./match.ts";
import { MatchLog } from "./match-log.ts";

const CLASS: TaskClass = {
  id: 1,
  queue: "q",
  type: "t",
  builds: { rest: { is: "13" } },
  requirements: {
    labels: { gpu: "a100" },
    resources: ["model:x"],
    cost: [
      { name: "memory", amount: 8 },
      { name: "slots", amount: 2 },
    ],
  },
};
const FIT: Candidate = {
  workerId: "fit",
  ready: true,
  draining: false,
  pauseReason: undefined,
  queues: new Set(["q"]),
  types: new Map([["t", { limit: 2, active: 1 }]]),
  labels: { gpu: "a100", zone: "b" },
  build: "13",
  resources: new Set(["model:x", "model:y"]),
  slots: 2,
  credit: 2,
  capacities: new Map([["memory", { total: 16, used: 8 }]]),
};

/** What each filter looks at, spoilt. */
const SPOILT: Readonly<Record<Filter, Partial<Candidate>>> = {
  type: { types: new Map() },
  queue: { queues: new Set(["other"]) },
  build: { build: "12" },
  labels: { labels: { gpu: "t4" } },
  capacity: { capacities: new Map([["memory", { total: 7, used: 0 }]]) },
  resources: { resources: new Set() },
  starting: { ready: false },
  draining: { draining: true },
  paused: { pauseReason: "memory" },
  quarantined: { quarantinedUntil: 1_000 },
  slots: { credit: 0 },
  alone: { keptFreeUntil: 1_000 },
  unanswered: { acceptStalledUntil: 1_000 },
};

const NOW = 500;

function spoil(wrong: readonly Filter[]): Candidate {
  return Object.assign({ ...FIT }, ...wrong.map((filter) => SPOILT[filter]));
}

describe("matching", () => {
  it("lets a worker through that has everything", () => {
    assert.equal(removedBy(CLASS, FIT), undefined);
    const plain = { ...CLASS, requirements: { labels: {}, resources: [] } };
    const bare = { ...FIT, labels: {}, resources: new Set<string>(), credit: 1, capacities: new Map() };
    assert.equal(removedBy(plain, bare), undefined);
  });

  it("names the first filter of those that remove a worker, whatever else is wrong", () => {
    fc.assert(
      fc.property(fc.subarray([...FILTERS], { minLength: 1 }), (wrong) => {
        const worker: Candidate = spoil(wrong);
        assert.equal(removedBy(CLASS, worker, NOW), wrong[0]);
      }),
    );
  });

  it("gives a quarantined worker nothing before its probe is due, and then one attempt at a time", () => {
    assert.equal(removedBy(CLASS, { ...FIT, quarantinedUntil: NOW + 1 }, NOW), "quarantined");
    assert.equal(removedBy(CLASS, { ...FIT, quarantinedUntil: NOW }, NOW), undefined);
    assert.equal(removedBy(CLASS, { ...FIT, quarantinedUntil: NOW, occupied: true }, NOW), "quarantined");
    const elsewhere = { ...FIT, quarantinedUntil: Number.POSITIVE_INFINITY };
    assert.equal(removedBy(CLASS, elsewhere), "quarantined");
    assert.equal(removedBy({ ...CLASS, alone: true }, elsewhere), "quarantined");
  });

  it("counts a full type as no slot", () => {
    assert.equal(removedBy(CLASS, { ...FIT, types: new Map([["t", { limit: 1, active: 1 }]]) }), "slots");
    const unbounded = new Map([["t", { limit: Number.POSITIVE_INFINITY, active: 9_999 }]]);
    assert.equal(removedBy(CLASS, { ...FIT, types: unbounded }), undefined);
  });

  it("distinguishes a worker that is too small from one that lacks room", () => {
    const memory = (total: number, used: number) => ({
      capacities: new Map([["memory", { total, used }]]),
    });
    const of = (worker: Partial<Candidate>) => removedBy(CLASS, { ...FIT, ...worker }, NOW);
    assert.equal(of({ slots: 1 }), "capacity");
    assert.equal(of({ capacities: new Map() }), "capacity");
    assert.equal(of(memory(16, 9)), "slots");
    assert.equal(of(memory(16, 24)), "slots", "it registered anew with less");
    assert.equal(of({ credit: 1 }), "slots");
    assert.equal(of({ ...memory(16, 9), draining: true }), "draining");
  });

  it("T24: a task that runs alone goes to a worker that holds nothing, and nothing goes beside it", () => {
    const alone = { ...CLASS, alone: true };
    assert.equal(removedBy(alone, { ...FIT, occupied: true }, NOW), "alone");
    assert.equal(removedBy(alone, { ...FIT, credit: 0, occupied: true }, NOW), "alone");
    assert.equal(removedBy(alone, { ...FIT, occupied: false, keptFreeUntil: 1_000 }, NOW), undefined);
    assert.equal(removedBy(alone, { ...FIT, draining: true, occupied: true }, NOW), "draining");
    assert.equal(removedBy(CLASS, { ...FIT, occupied: true, runsAlone: true }, NOW), "alone");
    assert.equal(removedBy(CLASS, { ...FIT, keptFreeUntil: 1_000 }, 1_000), undefined);
  });

  it("passes a stalled worker when the stall is over, or when no time is given", () => {
    const stalled = spoil(["unanswered"]);
    assert.equal(removedBy(CLASS, stalled, 999), "unanswered");
    assert.equal(removedBy(CLASS, stalled, 1_000), undefined);
    assert.equal(removedBy(CLASS, stalled), undefined);
  });
});

describe("the matcher's account", () => {
  /** As the search does: lasting filters at the registration, the others in a search without a result. */
  function look(log: MatchLog, workers: readonly Candidate[], now: number): void {
    log.begin(now);
    for (const worker of workers) {
      const filter = removedBy(CLASS, worker, now);
      if (filter === undefined) return log.end(true, now);
      if (!LASTING_FILTERS.has(filter)) log.removed(filter, worker.workerId);
    }
    log.end(false, now);
  }

  it("has every worker that was removed, whoever comes and goes", () => {
    const fleets = fc.array(fc.subarray([...FILTERS], { minLength: 1 }), { maxLength: 30 });
    fc.assert(
      fc.property(fleets, fc.nat(30), (fleet, leaving) => {
        const log = new MatchLog();
        const workers = fleet.map((wrong, n): Candidate => ({ ...spoil(wrong), workerId: `w${n}` }));
        const filterOf = (worker: Candidate) => removedBy(CLASS, worker, NOW);
        for (const worker of workers) {
          const filter = filterOf(worker);
          if (filter && LASTING_FILTERS.has(filter)) log.joined(filter, worker.workerId);
        }
        for (const worker of workers.splice(0, leaving)) {
          const filter = filterOf(worker);
          if (!filter || !LASTING_FILTERS.has(filter)) continue;
          log.left(
            filter,
            worker.workerId,
            () => workers.find((other) => filterOf(other) === filter)?.workerId,
          );
        }
        look(log, workers, NOW);
        const record = log.read(NOW + 40);
        assert.equal(record.lookedAt, workers.length);
        assert.deepEqual([record.found, record.ageMs], [false, 40]);
        for (const [filter, { count, example }] of record.removed) {
          const removed = workers.filter((worker) => filterOf(worker) === filter);
          assert.equal(removed.length, count);
          assert.ok(removed.some(({ workerId }) => workerId === example) || leaving > 0);
        }
        const counted = [...record.removed.values()].reduce((sum, { count }) => sum + count, 0);
        assert.equal(counted, workers.length);
      }),
    );
  });

  it("knows since when looks have ended at the same filter", () => {
    const log = new MatchLog();
    const [busy, paused] = [spoil(["slots"]), spoil(["paused"])];
    look(log, [paused], 100);
    look(log, [paused], 200);
    assert.deepEqual([log.read(250).nearest, log.read(250).nearestAgeMs], ["paused", 150]);
    look(log, [paused, busy], 300);
    assert.deepEqual([log.read(350).nearest, log.read(350).nearestAgeMs], ["slots", 50]);
    look(log, [FIT], 400);
    assert.deepEqual([log.read(450).nearest, log.read(450).foundAgeMs], [undefined, 50]);
    look(log, [busy], 500);
    // A slot that fell free and was taken again is the same wait.
    assert.equal(log.read(550).nearestAgeMs, 250);
  });
});
