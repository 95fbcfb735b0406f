import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OutcomeWindow } from "./outcome-window.ts";

const ERROR = (n: number) => ({ attemptId: `t-${n}.1`, code: "BROKEN", message: "" });

describe("the window of outcomes", () => {
  it("counts by type, and forgets in steps what is older than the window", () => {
    const window = new OutcomeWindow(1_000);
    window.failed("ocr", ERROR(1), 0);
    window.succeeded("ocr", 150);
    window.succeeded("cut", 999);
    const at = (now: number) => Object.fromEntries(window.totals(now));
    assert.deepEqual(at(999), { ocr: { finished: 2, failed: 1 }, cut: { finished: 1, failed: 0 } });
    assert.deepEqual(at(1_000), { ocr: { finished: 1, failed: 0 }, cut: { finished: 1, failed: 0 } });
    assert.deepEqual(at(1_100), { cut: { finished: 1, failed: 0 } });
    assert.deepEqual(at(60_000), {});
    window.failed("ocr", ERROR(2), 60_000);
    assert.deepEqual(at(60_000), { ocr: { finished: 1, failed: 1 } });
  });

  it("keeps the last five errors, and begins anew", () => {
    const window = new OutcomeWindow(1_000);
    for (let n = 1; n <= 7; n++) window.failed("ocr", ERROR(n), 0);
    assert.deepEqual(
      window.errors.map(({ attemptId }) => attemptId),
      ["t-3.1", "t-4.1", "t-5.1", "t-6.1", "t-7.1"],
    );
    window.clear();
    assert.deepEqual([window.errors, [...window.totals(0)]], [[], []]);
  });
});
