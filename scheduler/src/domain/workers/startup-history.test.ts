import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { usualWords } from "../explain/workers/usual-startup.ts";
import { type EarlierStart, usualStartup } from "./startup-history.ts";

const S = 1_000;

function start(loadS: number, readyS: number, fields: Partial<EarlierStart> = {}): EarlierStart {
  return {
    workerId: "w-1",
    pool: "gpu",
    reached: { boot: 0, load: loadS * S, ready: readyS * S },
    ...fields,
  };
}

const EARLIER = [start(10, 50), start(12, 52), start(11, 500), start(10, 49), start(9, 51)];

function starting(ageS: number, reached: Record<string, number> = { boot: 0, load: 10 }, workerId = "w-1") {
  const phases = Object.entries(reached).map(([phase, atS]) => ({ phase, elapsedMs: atS * S }));
  return { workerId, pool: "gpu", phases, ageMs: ageS * S };
}

describe("the usual startup", () => {
  it("is the median from the last phase to ready; one slow start does not move it", () => {
    assert.deepEqual(usualStartup(starting(30), EARLIER), {
      ...{ starts: 5, own: true, phase: "load", spentMs: 20 * S },
      ...{ restMs: 40 * S, slowRestMs: 489 * S },
    });
  });

  it("is from the start of the process while no phase is known that earlier starts had", () => {
    const usual = usualStartup(starting(5, { other: 4 }), EARLIER);
    assert.deepEqual([usual?.phase, usual?.spentMs, usual?.restMs], [undefined, 5 * S, 51 * S]);
  });

  it("is of the pool where the id has too few starts, and of nothing where both have", () => {
    const usual = usualStartup(starting(30, { load: 10 }, "w-2"), EARLIER);
    assert.deepEqual([usual?.own, usual?.starts], [false, 5]);
    assert.equal(usualStartup({ ...starting(30, {}, "w-2"), pool: "" }, EARLIER), undefined);
    assert.equal(usualStartup(starting(30), EARLIER.slice(0, 2)), undefined);
    const unready = EARLIER.map((each) => ({ ...each, reached: { load: 1 } }));
    assert.equal(usualStartup(starting(30), unready), undefined);
  });

  it("counts the newest twenty", () => {
    const many = [...Array(20).fill(start(10, 20)), ...Array(100).fill(start(10, 900))];
    const usual = usualStartup(starting(10), many);
    assert.deepEqual([usual?.starts, usual?.slowRestMs], [20, 10 * S]);
  });

  it("says when the worker is ready, and that it is late", () => {
    const words = (ageS: number) => usualWords(starting(ageS), EARLIER);
    assert.equal(words(30), "usually ready 40 s after load (median of 5 earlier starts), so in about 20 s");
    assert.equal(words(60), "usually ready 40 s after load (median of 5 earlier starts), which was 10 s ago");
    assert.match(words(600), /; it takes longer than nine of ten did \(8\.2 min\)$/);
    assert.match(
      usualWords(starting(30, {}, "w-2"), EARLIER),
      /after its start \(median of 5 earlier starts of pool gpu\)/,
    );
    assert.equal(usualWords(starting(30), []), "");
  });
});
