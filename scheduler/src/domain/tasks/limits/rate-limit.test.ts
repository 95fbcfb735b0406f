import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { debtAfter, fillMs, type Rate, rateText, tokenCount, untilTokenMs } from "./rate-limit.ts";

const RATE: Rate = { limit: 10, periodMs: 1_000, burst: 3 };

describe("token buckets", () => {
  it("hold the burst when full, and a token less for each interval of debt", () => {
    assert.deepEqual(
      [0, 1, 100, 101, 200, 299, 300, 900].map((debtMs) => tokenCount(RATE, debtMs)),
      [3, 2, 2, 1, 1, 0, 0, 0],
    );
  });

  it("say how long it takes until there is a token", () => {
    assert.deepEqual(
      [0, 200, 201, 250, 300].map((debtMs) => Math.round(untilTokenMs(RATE, debtMs))),
      [0, 0, 1, 50, 100],
    );
  });

  it("never owe more than an empty bucket does", () => {
    assert.equal(debtAfter(RATE, 0, 2), 200);
    assert.equal(debtAfter(RATE, 250, 5), fillMs(RATE));
  });

  it("lose no token to fractions of milliseconds", () => {
    for (const [limit, periodMs] of [
      [3, 1_000],
      [7, 60_000],
      [999_983, 3_600_000],
    ] as const) {
      const rate = { limit, periodMs, burst: 50 };
      let debtMs = 0;
      for (let left = 50; left > 0; left--) {
        assert.equal(tokenCount(rate, debtMs), left);
        debtMs = debtAfter(rate, debtMs, 1);
      }
      assert.equal(tokenCount(rate, debtMs), 0);
    }
  });

  it("are written as commands take them", () => {
    const text = (limit: number, periodMs: number) => rateText({ limit, periodMs, burst: 1 });
    assert.deepEqual(
      [text(100, 60_000), text(5, 90_000), text(1, 86_400_000), text(2, 7_200_000), text(3, 1_500)],
      ["100/1m", "5/90s", "1/1d", "2/2h", "3/1500ms"],
    );
  });
});
