import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import type { TaskClass } from "../matching/match.ts";
import { madeSpec } from "../testing/made-pools.ts";
import { demandByPool, offers } from "./demand.ts";

const REQUIREMENTS = { labels: {}, resources: [] };
const ocr: TaskClass = { id: 1, queue: "default", type: "ocr", requirements: REQUIREMENTS };

describe("what a pool offers", () => {
  const spec = madeSpec({
    offer: {
      ...{ types: ["ocr"], queues: ["default"], labels: { gpu: "a100" }, resources: ["model:x"] },
      ...{ capacities: { gpu_mb: 8_000 }, slots: 2 },
    },
  });

  it("is asked as a worker of it would be", () => {
    const needs = (requirements: Partial<TaskClass["requirements"]>) =>
      offers(spec.offer, "", { ...ocr, requirements: { ...REQUIREMENTS, ...requirements } });
    assert.ok(offers(spec.offer, "", ocr));
    assert.ok(!offers(spec.offer, "", { ...ocr, type: "asr" }));
    assert.ok(!offers(spec.offer, "", { ...ocr, queue: "other" }));
    assert.ok(needs({ labels: { gpu: "a100" } }) && !needs({ labels: { gpu: "h100" } }));
    assert.ok(needs({ resources: ["model:x"] }) && !needs({ resources: ["model:y"] }));
    assert.ok(needs({ cost: [{ name: "gpu_mb", amount: 8_000 }] }));
    assert.ok(!needs({ cost: [{ name: "gpu_mb", amount: 8_001 }] }));
    assert.ok(
      needs({ cost: [{ name: "slots", amount: 2 }] }) && !needs({ cost: [{ name: "slots", amount: 3 }] }),
    );
  });

  it("is of the build that it launches, which the rule of a queue may ask for", () => {
    const pinned: TaskClass = { ...ocr, builds: { rest: { is: "12" } } };
    assert.deepEqual(
      ["12", "13", ""].map((build) => offers(spec.offer, build, pinned)),
      [true, false, false],
    );
  });
});

describe("waiting tasks that count for pools", () => {
  const room = (
    name: string,
    maxWorkers: number,
    given: { held?: number; closed?: boolean; minTaskAgeMs?: number } = {},
  ) => ({
    spec: madeSpec({
      name,
      maxWorkers,
      scale: { stabilizationMs: 0, minTaskAgeMs: given.minTaskAgeMs ?? 0 },
    }),
    build: "",
    held: given.held ?? 0,
    closed: given.closed ?? false,
  });
  const waiting = (count: number, ageMs = 0) => [{ taskClass: ocr, waiting: count, ageMs }];

  it("go to the first by name up to its maximum, then to the next; the rest to the first", () => {
    const pools = [room("b", 10), room("a", 4, { held: 1 })];
    assert.deepEqual(
      [...demandByPool(pools, waiting(5))],
      [
        ["a", 3],
        ["b", 2],
      ],
    );
    assert.deepEqual(
      [...demandByPool(pools, waiting(20))],
      [
        ["a", 10],
        ["b", 10],
      ],
    );
  });

  it("do not go to a pool that is paused, or before they are old enough", () => {
    assert.deepEqual(
      [...demandByPool([room("a", 4, { closed: true }), room("b", 4)], waiting(2))],
      [["b", 2]],
    );
    const patient = [room("a", 4, { minTaskAgeMs: 5_000 })];
    assert.deepEqual([...demandByPool(patient, waiting(2, 4_999))], []);
    assert.deepEqual([...demandByPool(patient, waiting(2, 5_000))], [["a", 2]]);
  });

  it("count once: two pools never launch for one task", () => {
    const pools = fc.array(fc.record({ max: fc.integer({ min: 1, max: 20 }), held: fc.nat(10) }), {
      minLength: 1,
      maxLength: 5,
    });
    fc.assert(
      fc.property(pools, fc.nat(200), (sizes, count) => {
        const rooms = sizes.map(({ max, held }, index) => room(`p${index}`, max, { held }));
        const demand = demandByPool(rooms, waiting(count));
        assert.equal(
          [...demand.values()].reduce((sum, each) => sum + each, 0),
          count,
        );
      }),
    );
  });
});
