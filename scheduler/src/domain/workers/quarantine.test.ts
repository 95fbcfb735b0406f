import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  findBlackHole,
  isSuspect,
  type PeerOutcomes,
  probeDelayMs,
  quarantineInWords,
  type TypeOutcomes,
} from "./quarantine.ts";

const MIN = 10;

/** `{ ocr: [3, 10] }`: 3 of 10 failed. */
function counts(types: Readonly<Record<string, readonly [failed: number, finished: number]>>): TypeOutcomes {
  return new Map(Object.entries(types).map(([type, [failed, finished]]) => [type, { failed, finished }]));
}

function peer(workerId: string, types: Parameters<typeof counts>[0]): PeerOutcomes {
  return { workerId, outcomes: counts(types) };
}

describe("the rule of black holes", () => {
  it("finds a worker that fails while its peers succeed, and gives both rates", () => {
    const found = findBlackHole(
      counts({ ocr: [28, 30] }),
      [peer("w-2", { ocr: [1, 40] }), peer("w-3", { ocr: [0, 20], other: [9, 9] })],
      MIN,
    );
    assert.deepEqual(found, {
      failed: 28,
      finished: 30,
      peerCount: 2,
      peersTogether: { finished: 60, failed: 1 },
      peers: [
        { workerId: "w-2", finished: 40, failed: 1 },
        { workerId: "w-3", finished: 20, failed: 0 },
      ],
    });
    assert.equal(
      found && quarantineInWords({ ...found, windowMs: 300_000 }),
      "28 of 30 attempts failed (93 %) within 5 min, at its 2 peers 1 of 60 (2 %)",
    );
  });

  const innocent: readonly [string, TypeOutcomes, readonly PeerOutcomes[]][] = [
    ["too few attempts", counts({ ocr: [9, 9] }), [peer("w-2", { ocr: [0, 99] })]],
    ["less than half failed", counts({ ocr: [49, 100] }), [peer("w-2", { ocr: [0, 99] })]],
    ["no peer ran the type", counts({ ocr: [50, 50] }), [peer("w-2", { other: [0, 99] })]],
    ["its peer ran too few", counts({ ocr: [50, 50] }), [peer("w-2", { ocr: [0, 4] })]],
    ["the tasks are bad", counts({ ocr: [50, 50] }), [peer("w-2", { ocr: [40, 80] })]],
    [
      "most of its peers fail as well",
      counts({ ocr: [50, 50] }),
      [peer("w-2", { ocr: [9, 9] }), peer("w-3", { ocr: [9, 9] }), peer("w-4", { ocr: [0, 9] })],
    ],
    [
      "its peer fails that type as well, and ran mostly another",
      counts({ bad: [90, 90], good: [0, 10] }),
      [peer("w-2", { bad: [1, 1], good: [0, 500] })],
    ],
  ];
  for (const [why, own, peers] of innocent) {
    it(`leaves a worker alone: ${why}`, () => assert.equal(findBlackHole(own, peers, MIN), undefined));
  }

  it("finds one beside another one, which fails a thousand times as much", () => {
    const found = findBlackHole(
      counts({ ocr: [20, 20] }),
      [peer("w-2", { ocr: [9_999, 9_999] }), peer("w-3", { ocr: [0, 12] })],
      MIN,
    );
    assert.equal(found?.failed, 20);
  });

  it("never finds all: where workers ran the same types, the best of them stays", () => {
    const rates = fc.array(fc.tuple(fc.nat({ max: 60 }), fc.nat({ max: 60 })), {
      minLength: 1,
      maxLength: 6,
    });
    fc.assert(
      fc.property(rates, (workers) => {
        const all = workers.map(([failed, more], index) =>
          peer(`w-${index}`, { ocr: [failed, failed + more] }),
        );
        const holes = all.filter(({ workerId, outcomes }) =>
          findBlackHole(
            outcomes,
            all.filter((other) => other.workerId !== workerId),
            MIN,
          ),
        );
        assert.ok(holes.length < all.length);
        for (const { outcomes } of holes) assert.ok(isSuspect(outcomes, MIN));
      }),
    );
  });

  it("names five peers of many, those with the most attempts", () => {
    const peers = Array.from({ length: 20 }, (_, index) => peer(`w-${index}`, { ocr: [0, 10 + index] }));
    const found = findBlackHole(counts({ ocr: [20, 20] }), peers, MIN);
    assert.equal(found?.peerCount, 20);
    assert.deepEqual(
      found?.peers.map(({ workerId }) => workerId),
      ["w-19", "w-18", "w-17", "w-16", "w-15"],
    );
  });

  it("waits twice as long after each probe that fails, up to 10 minutes", () => {
    assert.deepEqual(
      [0, 1, 2, 4, 5, 99].map((failed) => probeDelayMs({ probeMs: 30_000 }, failed)),
      [30_000, 60_000, 120_000, 480_000, 600_000, 600_000],
    );
    assert.equal(probeDelayMs({ probeMs: 3_600_000 }, 3), 3_600_000);
  });
});
