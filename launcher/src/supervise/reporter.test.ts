import assert from "node:assert/strict";
import { test } from "node:test";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { ReportLaunchResponse } from "@muster/protocol";
import type { Client } from "@muster/worker/client";
import type { Clock } from "../clock.ts";
import type { KillRequest } from "./kill-request.ts";
import { Reporter } from "./reporter.ts";

/** What a report asked of the scheduler. */
interface Asked {
  readonly waitMs: number;
  readonly seen: number;
}

const MESSAGE = { launchId: "l-1", workerId: "w" };

/** A reporter whose scheduler answers as `answer` does; its clock stands still until a sleep is ended. */
function setUp(answer: (asked: Asked, call: number) => Promise<Partial<ReportLaunchResponse>>) {
  const asked: Asked[] = [];
  const slept: number[] = [];
  const asleep = Promise.withResolvers<void>();
  const clock: Clock = {
    now: () => 0,
    monotonic: () => 0,
    after: () => () => undefined,
    sleep: (ms, signal) => {
      slept.push(ms);
      asleep.resolve();
      if (signal?.aborted) return Promise.resolve();
      return new Promise((resolve) => signal?.addEventListener("abort", () => resolve()));
    },
  };
  const supervision = {
    reportLaunch: (
      request: { maxWait?: ReturnType<typeof durationFromMs>; seenStopNumber: number },
      { signal }: { signal?: AbortSignal },
    ) => {
      const report = {
        waitMs: request.maxWait ? durationMs(request.maxWait) : 0,
        seen: request.seenStopNumber,
      };
      asked.push(report);
      return Promise.race([
        answer(report, asked.length),
        new Promise((_, reject) => signal?.addEventListener("abort", () => reject(new Error("aborted")))),
      ]);
    },
    reportExit: async () => ({ requeuedCount: 0 }),
  };
  const client = { supervision, addresses: ["s:1"], close: () => undefined } as unknown as Client;
  const logged: string[] = [];
  const reporter = new Reporter(client, clock, { write: (_, event) => void logged.push(event) });
  const kills: KillRequest[] = [];
  return { reporter, asked, slept, asleep: asleep.promise, kills, logged };
}

const interval = { reportInterval: durationFromMs(10_000) };

test("a request that a waiting report is answered with ends the process, once", async () => {
  const second = Promise.withResolvers<void>();
  const { reporter, asked, kills } = setUp((_, call) => {
    const stop = { number: 1, reason: "hangs", grace: durationFromMs(5_000), restart: false };
    if (call === 1) return Promise.resolve(interval);
    if (call === 2) return Promise.resolve({ ...interval, stop: stop as ReportLaunchResponse["stop"] & {} });
    second.resolve();
    return new Promise(() => undefined);
  });
  reporter.launched(() => MESSAGE, { kill: (kill) => void kills.push(kill), notice: () => undefined });
  await second.promise;
  assert.deepEqual(asked, [
    { waitMs: 0, seen: 0 },
    { waitMs: 8_000, seen: 0 },
    { waitMs: 8_000, seen: 1 },
  ]);
  assert.deepEqual(kills, [{ reason: "hangs", graceMs: 5_000, restart: false }]);
  await reporter.close(0);
});

test("a scheduler that does not wait is asked once in an interval", async () => {
  const { reporter, asked, slept, asleep } = setUp(async () => interval);
  // The loop sleeps before there is a launch.
  await asleep;
  const before = slept.length;
  reporter.launched(() => MESSAGE, {
    kill: () => assert.fail("nothing was asked for"),
    notice: () => undefined,
  });
  while (slept.length === before) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(
    asked.map(({ waitMs }) => waitMs),
    [0, 8_000],
  );
  assert.equal(slept.at(-1), 8_000);
  await reporter.close(0);
});

test("an end is reported while a report waits, and that is no failure", async () => {
  const waits = Promise.withResolvers<void>();
  const { reporter, logged } = setUp((_, call) => {
    if (call === 1) return Promise.resolve(interval);
    waits.resolve();
    return new Promise(() => undefined);
  });
  reporter.launched(() => MESSAGE, {
    kill: () => assert.fail("nothing was asked for"),
    notice: () => undefined,
  });
  await waits.promise;
  reporter.ended({ launchId: "l-1" }, undefined);
  while (reporter.pending > 0) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(logged, ["launch.reported"]);
  await reporter.close(0);
});
