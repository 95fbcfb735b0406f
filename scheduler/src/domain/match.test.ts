import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { type Candidate, FILTERS, type Filter, matchAll, removedBy, type TaskClass } from "./match.ts";

const CLASS: TaskClass = {
  id: 1,
  queue: "q",
  type: "t",
  requirements: { labels: { gpu: "a100" }, resources: ["model:x"] },
};
const FIT: Candidate = {
  workerId: "fit",
  ready: true,
  draining: false,
  pauseReason: undefined,
  queues: new Set(["q"]),
  types: new Map([["t", { limit: 2, active: 1 }]]),
  labels: { gpu: "a100", zone: "b" },
  resources: new Set(["model:x", "model:y"]),
  credit: 1,
};

/** What each filter looks at, spoilt. */
const SPOILT: Readonly<Record<Filter, Partial<Candidate>>> = {
  type: { types: new Map() },
  queue: { queues: new Set(["other"]) },
  labels: { labels: { gpu: "t4" } },
  resources: { resources: new Set() },
  starting: { ready: false },
  draining: { draining: true },
  paused: { pauseReason: "memory" },
  slots: { credit: 0 },
};

function spoil(wrong: readonly Filter[]): Candidate {
  return Object.assign({ ...FIT }, ...wrong.map((filter) => SPOILT[filter]));
}

describe("matching", () => {
  it("lets a worker through that has everything", () => {
    assert.equal(removedBy(CLASS, FIT), undefined);
    const plain = { ...CLASS, requirements: { labels: {}, resources: [] } };
    assert.equal(removedBy(plain, { ...FIT, labels: {}, resources: new Set() }), undefined);
  });

  it("names the first filter of those that remove a worker, whatever else is wrong", () => {
    fc.assert(
      fc.property(fc.subarray([...FILTERS], { minLength: 1 }), (wrong) => {
        const worker: Candidate = spoil(wrong);
        assert.equal(removedBy(CLASS, worker), wrong[0]);
      }),
    );
  });

  it("counts a full type as no slot", () => {
    assert.equal(removedBy(CLASS, { ...FIT, types: new Map([["t", { limit: 1, active: 1 }]]) }), "slots");
    const unbounded = new Map([["t", { limit: Number.POSITIVE_INFINITY, active: 9_999 }]]);
    assert.equal(removedBy(CLASS, { ...FIT, types: unbounded }), undefined);
  });

  it("accounts for every worker: those that fit and those removed are all", () => {
    const fleets = fc.array(fc.subarray([...FILTERS]), { maxLength: 30 });
    fc.assert(
      fc.property(fleets, (fleet) => {
        const workers = fleet.map(
          (wrong, n): Candidate => ({
            ...spoil(wrong),
            workerId: `w${n}`,
          }),
        );
        const { fits, record } = matchAll(CLASS, workers);
        const removed = [...record.removed.values()].reduce((sum, { count }) => sum + count, 0);
        assert.equal(record.lookedAt, workers.length);
        assert.equal(record.eligible, fits.length);
        assert.equal(fits.length + removed, workers.length);
        for (const [filter, { example }] of record.removed) {
          assert.equal(workers.find((worker) => removedBy(CLASS, worker) === filter)?.workerId, example);
        }
      }),
    );
  });
});
