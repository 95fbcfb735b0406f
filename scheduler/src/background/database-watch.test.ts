import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Clock } from "../clock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { DatabaseWatch } from "./database-watch.ts";

describe("DatabaseWatch", () => {
  it("calls a database unavailable that answers nothing for a second, and refuses what waits for it", async () => {
    const { watch, asked } = setUp(() => undefined);
    const work = assert.rejects(watch.run(never), DatabaseUnavailableError);
    await watch.runOnce();
    await work;
    assert.equal(asked.ms, 1_000);
    assert.match(watch.unavailable ?? "", /has not answered for 1000 ms/);
    await assert.rejects(watch.run(never), DatabaseUnavailableError);
  });

  it("does not while it answers others, however long the probe waits its turn, and looks for a second at most", async () => {
    const { watch, asked } = setUp((ms) => {
      asked.lastAnswerMs = ms - 100;
    });
    for (let look = 1; look <= 5; look++) {
      const startedAt = asked.ms;
      await watch.runOnce();
      assert.equal(watch.unavailable, undefined, `look ${look}`);
      assert.ok(asked.ms - startedAt <= 1_000, `look ${look} lasted ${asked.ms - startedAt} ms`);
    }
  });

  it("counts the second from the last answer, not from the look", async () => {
    const { watch, asked } = setUp((ms) => {
      if (ms === 1_000) asked.lastAnswerMs = 300;
    });
    await watch.runOnce();
    assert.equal(watch.unavailable, undefined);
    await watch.runOnce();
    assert.notEqual(watch.unavailable, undefined);
    assert.equal(asked.ms, 1_300);
  });

  it("reads what has arrived before it judges a second that the process itself did not run in", async () => {
    const { watch, answerProbe } = setUp(() => setImmediate(answerProbe));
    await watch.runOnce();
    assert.equal(watch.unavailable, undefined);
  });

  it("is back with the first probe that is answered", async () => {
    const { watch, answerProbe } = setUp(() => undefined);
    await watch.runOnce();
    assert.notEqual(watch.unavailable, undefined);
    answerProbe();
    await watch.runOnce();
    assert.equal(watch.unavailable, undefined);
    assert.equal(await watch.run(async () => 1), 1);
  });
});

const never = () => new Promise<never>(() => undefined);

/** A watch whose clock jumps to the end of every sleep and calls `onSleep` with the time. */
function setUp(onSleep: (ms: number) => void) {
  const asked = { ms: 0, lastAnswerMs: Number.NEGATIVE_INFINITY };
  const clock: Clock = {
    now: () => asked.ms,
    monotonic: () => asked.ms,
    after: () => () => undefined,
    async sleep(ms, signal) {
      if (signal?.aborted) return;
      asked.ms += ms;
      onSleep(asked.ms);
    },
  };
  const probe = Promise.withResolvers<void>();
  const store = { probe: () => probe.promise, lastAnswerMs: () => asked.lastAnswerMs };
  const log = { error: () => undefined, info: () => undefined };
  const watch = new DatabaseWatch({ store, clock, log, onChange: () => undefined });
  return { watch, asked, answerProbe: () => probe.resolve() };
}
