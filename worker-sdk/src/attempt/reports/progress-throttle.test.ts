import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type ProgressHost, ProgressThrottle } from "./progress.ts";

/** A throttle on a clock that the test moves. */
function throttle() {
  let now = 0;
  let waiting: { due: number; run: () => void } | undefined;
  const sent: (string | number)[] = [];
  const host: ProgressHost = {
    clock: { monotonicMs: () => now },
    deadlines: {
      add: (ms, run) => {
        assert.equal(waiting, undefined, "one timer at a time");
        waiting = { due: now + ms, run };
        return waiting as never;
      },
      remove: (deadline) => {
        if (deadline !== undefined) waiting = undefined;
      },
    },
    link: {
      send: (message) => {
        assert.equal(message.kind, "progress");
        const { fraction, done, total, unit, shed } = message;
        sent.push(fraction ?? `${done}/${total ?? "?"}${unit && ` ${unit}`}`);
        void shed;
      },
      flush: () => undefined,
    },
  };
  const progress = new ProgressThrottle("t-1.1", host);
  return {
    progress,
    /** What is sent within so many milliseconds from now. */
    pass: (ms: number) => {
      const until = now + ms;
      while (waiting !== undefined && waiting.due <= until) {
        now = waiting.due;
        const { run } = waiting;
        run();
      }
      now = until;
      return sent.splice(0);
    },
  };
}

describe("progress", () => {
  it("is sent at once, then after 500 ms, or after 100 ms when the share has moved by 1 %", () => {
    const { progress, pass } = throttle();
    progress.report(0.1);
    assert.deepEqual(pass(50), [0.1]);
    progress.report(0.101);
    assert.deepEqual(pass(449), []);
    assert.deepEqual(pass(1), [0.101], "500 ms after the last one");
    progress.report(0.102);
    assert.deepEqual(pass(50), []);
    progress.report(0.111);
    assert.deepEqual(pass(50), [0.111], "it has moved: the wait becomes shorter");
    progress.report({ done: 1 });
    assert.deepEqual(pass(499), [], "counts without a total have no share");
    assert.deepEqual(pass(1), ["1/?"]);
  });

  it("is sent more often where a phase would be stuck sooner", () => {
    const { progress, pass } = throttle();
    progress.watchedAfter(1_200);
    progress.watchedAfter(60_000);
    progress.report(0.1);
    progress.report(0.101);
    assert.deepEqual(pass(299), [0.1]);
    assert.deepEqual(pass(1), [0.101]);
    progress.watchedAfter(40);
    progress.report(0.102);
    assert.deepEqual(pass(99), []);
    assert.deepEqual(pass(1), [0.102], "at most ten a second");
  });

  it("is the latest of what was reported meanwhile, and the last one is always sent", () => {
    const { progress, pass } = throttle();
    for (let n = 0; n <= 1_000; n++) progress.report({ done: n, total: 1_000, unit: "pages" });
    assert.deepEqual(pass(0), ["0/1000 pages"]);
    progress.close();
    assert.deepEqual(pass(0), ["1000/1000 pages"]);
    progress.close();
    assert.deepEqual(pass(1_000), []);
  });

  it("does not go backwards before a phase begins or ends, and does not throw", () => {
    const { progress, pass } = throttle();
    const last = (...reports: Parameters<ProgressThrottle["report"]>[0][]) => {
      for (const report of reports) progress.report(report);
      return pass(1_000).at(-1);
    };
    assert.equal(last(0.5, 0.2), 0.5);
    assert.equal(last({ done: 5, total: 10 }, { done: 4, total: 10 }), "5/10");
    assert.equal(last({ done: 4, total: 20 }), "4/20", "more work was found");
    assert.equal(last({ done: 3, total: 20, unit: "files" }), "3/20 files", "other things are counted");
    assert.equal(last({ done: 9 }, { done: 8 }), "9/?");
    progress.close();
    assert.equal(last({ done: 1 }), "1/?");
  });
});
