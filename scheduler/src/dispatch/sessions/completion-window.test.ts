import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { recentCount } from "../../domain/workers/completions.ts";
import { CompletionWindow } from "./completion-window.ts";

describe("the successes of a session", () => {
  it("are all counted, and those of the last five minutes by steps of 15 seconds", () => {
    const window = new CompletionWindow();
    assert.deepEqual(window.record(0), { total: 0, recent: [] });
    window.add(1_000);
    window.add(2_000);
    window.add(40_000);
    assert.deepEqual(window.record(44_000), { total: 3, recent: [1, 0, 2] });
    assert.deepEqual(window.record(60_000), { total: 3, recent: [0, 0, 1, 0, 2] });
    assert.deepEqual(window.record(299_999).recent.length, 20);
    assert.deepEqual(recentCount(window.record(300_000), 0), 1);
    assert.deepEqual(window.record(400_000), { total: 3, recent: [] });
    window.add(10_000_000);
    assert.deepEqual(window.record(10_000_000), { total: 4, recent: [1] });
  });

  it("go on from what another scheduler wrote, whatever the clocks of the two begin at", () => {
    const kept = { total: 9, recent: [1, 2, 3] };
    for (const now of [20_000, 5_000_000]) {
      const window = CompletionWindow.resume(kept, 16_000, now);
      const { total, recent } = window.record(now);
      assert.equal(total, 9);
      assert.equal(recentCount({ total, recent }, 0), 6);
      window.add(now);
      assert.equal(window.record(now).total, 10);
      assert.deepEqual(window.record(now + 300_000).recent, []);
    }
    assert.deepEqual(CompletionWindow.resume(kept, 400_000, 20_000).record(20_000), { total: 9, recent: [] });
  });

  it("are recent for as long as the record and its age together say", () => {
    const record = { total: 30, recent: Array.from({ length: 20 }, () => 1) };
    assert.deepEqual(
      [0, 14_999, 15_000, 150_000, 299_999, 300_000, 900_000].map((ageMs) => recentCount(record, ageMs)),
      [20, 20, 19, 10, 1, 0, 0],
    );
  });
});
