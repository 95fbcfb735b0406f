import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ProgressRates, type ReportedProgress } from "./progress-rate.ts";

/** Reports at seconds; the answer to the last one. */
function after(reports: readonly [atS: number, progress: ReportedProgress][]) {
  const rates = new ProgressRates();
  return reports.map(([atS, progress]) => rates.note(progress, atS * 1_000)).at(-1);
}

const pages = (done: number, total = 100) => ({ done, total, unit: "pages" });

describe("the rate of progress", () => {
  it("is of the counts within a minute, with the time for the rest", () => {
    assert.deepEqual(
      after([
        [0, pages(10)],
        [10, pages(30)],
      ]),
      { perSecond: 2, leftMs: 35_000 },
    );
    assert.deepEqual(
      after([
        [0, { done: 0 }],
        [4, { done: 8 }],
      ]),
      { perSecond: 2 },
      "without a total",
    );
    assert.deepEqual(
      after([
        [0, { fraction: 0.2 }],
        [10, { fraction: 0.4 }],
      ]),
      { leftMs: 30_000 },
    );
    assert.deepEqual(
      after([
        [0, pages(0)],
        [5, pages(100)],
      ]),
      { perSecond: 20, leftMs: 0 },
    );
    assert.deepEqual(
      after([
        [0, pages(0)],
        [5, pages(110)],
      ]),
      { perSecond: 22, leftMs: 0 },
      "more than all",
    );
  });

  it("follows a change within a minute, and outlasts a pause", () => {
    const reports = Array.from({ length: 121 }, (_, s): [number, ReportedProgress] => [
      s,
      pages(s < 60 ? s : 60 + (s - 60) / 10, 1_000),
    ]);
    const slow = after(reports);
    assert.ok(slow?.perSecond !== undefined && slow.perSecond < 0.2, String(slow?.perSecond));
    assert.deepEqual(
      after([
        [0, pages(0)],
        [10, pages(10)],
        [200, pages(20)],
      ]),
      { perSecond: 10 / 190, leftMs: 1_520_000 },
    );
  });

  it("is absent while too little is known, without movement, and beyond a year", () => {
    assert.deepEqual(after([[0, pages(1)]]), {});
    assert.deepEqual(
      after([
        [0, pages(1)],
        [0.9, pages(2)],
      ]),
      {},
    );
    assert.deepEqual(
      after([
        [0, pages(5)],
        [30, pages(5)],
      ]),
      {},
    );
    assert.deepEqual(
      after([
        [0, { fraction: 0 }],
        [60, { fraction: 1e-9 }],
      ]),
      {},
    );
    assert.deepEqual(
      after([
        [0, {}],
        [60, {}],
      ]),
      {},
    );
  });

  it("begins anew when the work is another or begins again", () => {
    for (const other of [pages(60, 200), { ...pages(60), unit: "files" }, { fraction: 0.6 }, pages(10)])
      assert.deepEqual(
        after([
          [0, pages(0)],
          [10, pages(50)],
          [20, other],
        ]),
        {},
        JSON.stringify(other),
      );
    assert.deepEqual(
      after([
        [0, pages(50)],
        [10, pages(0)],
        [20, pages(20)],
      ]),
      { perSecond: 2, leftMs: 40_000 },
    );
  });

  it("keeps a bounded number of reports", () => {
    const rates = new ProgressRates();
    for (let n = 0; n < 100_000; n++) rates.note({ done: n }, n * 10);
    assert.equal(Math.round(rates.note({ done: 100_000 }, 1_000_000).perSecond ?? 0), 100);
  });
});
