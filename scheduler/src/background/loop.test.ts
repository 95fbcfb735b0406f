import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { systemClock } from "../clock.ts";
import { DatabaseUnavailableError } from "../domain/errors.ts";
import { type Logger, silentLogger } from "../telemetry/logs/logger.ts";
import { Loop } from "./loop.ts";

/** A loop whose runs the test can wait for. */
function counted(
  options: { intervalMs?: number; fail?: (run: number) => Error | undefined; log?: Logger } = {},
) {
  let runs = 0;
  const waiting: { at: number; resolve: () => void }[] = [];
  const loop = new Loop({
    name: "test",
    intervalMs: options.intervalMs ?? 1,
    clock: systemClock,
    log: options.log ?? silentLogger,
    runOnce: () => {
      runs++;
      for (const { at, resolve } of waiting) if (runs >= at) resolve();
      const error = options.fail?.(runs);
      if (error) throw error;
    },
  });
  // The loop's own timers do not keep the test alive.
  const alive = setInterval(() => undefined, 1_000);
  return {
    loop,
    runs: () => runs,
    reached: (at: number) =>
      new Promise<void>((resolve) => (runs >= at ? resolve() : waiting.push({ at, resolve }))),
    end: async () => {
      await loop.stop();
      clearInterval(alive);
    },
  };
}

describe("a loop", () => {
  it("runs again and again, goes on after a failure, and remembers the last one", async () => {
    const { loop, reached, end } = counted({ fail: (run) => (run === 2 ? new Error("once") : undefined) });
    loop.start();
    await reached(4);
    assert.equal(loop.lastError, undefined);
    assert.ok(loop.lastRunAt !== undefined);
    await end();
  });

  it("keeps why it fails, and logs it unless it is the database's absence", async () => {
    const logged: string[] = [];
    const log: Logger = { ...silentLogger, error: (event) => void logged.push(event) };
    const broken = counted({ log, fail: () => new Error("always") });
    broken.loop.start();
    await broken.reached(2);
    await broken.end();
    assert.ok(broken.loop.lastError instanceof Error);
    assert.equal(broken.loop.lastRunAt, undefined);
    assert.ok(logged.length >= 2 && logged.every((event) => event === "loop.failed"));
    logged.length = 0;
    const away = counted({ log, fail: () => new DatabaseUnavailableError("away", false, undefined) });
    away.loop.start();
    await away.reached(2);
    await away.end();
    assert.deepEqual(logged, []);
  });

  it("is woken before its time, once for each wake", async () => {
    const { loop, reached, runs, end } = counted({ intervalMs: 3_600_000 });
    loop.start();
    await reached(1);
    await new Promise((resolve) => setImmediate(resolve));
    loop.wake();
    await reached(2);
    assert.equal(runs(), 2);
    await end();
  });

  it("takes a second start and a second stop calmly, and runs no more after a stop", async () => {
    const { loop, reached, runs, end } = counted();
    loop.start();
    loop.start();
    await reached(2);
    await Promise.all([loop.stop(), loop.stop()]);
    const stopped = runs();
    loop.wake();
    await new Promise((resolve) => setImmediate(resolve));
    assert.equal(runs(), stopped);
    await end();
  });

  it("stops while it waits for the next run", async () => {
    const { loop, reached, end } = counted({ intervalMs: 3_600_000 });
    loop.start();
    await reached(1);
    await end();
    assert.ok(loop.lastRunAt !== undefined);
  });
});
