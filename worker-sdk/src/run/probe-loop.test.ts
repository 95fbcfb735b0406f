import assert from "node:assert/strict";
import { test } from "node:test";
import { ProbeLoop } from "./probe-loop.ts";

/** A clock whose timers the test fires: the timeout is 1 ms long, the interval 2 ms. */
function setUp(run: (context: { signal: AbortSignal }) => unknown) {
  const timers = new Map<number, () => void>();
  const sent: unknown[] = [];
  const logged: string[] = [];
  const loop = new ProbeLoop({
    probe: { run: run as never, timeoutMs: 1, intervalMs: 2 },
    clock: {
      monotonicMs: () => 0,
      every: () => () => undefined,
      after: (ms, callback) => {
        timers.set(ms, callback);
        return () => void timers.delete(ms);
      },
    },
    link: { send: (message) => void sent.push(message) },
    log: {
      info: (fields: unknown) => void logged.push(Object(fields).event),
      warn: (fields: unknown) => void logged.push(`${Object(fields).event} ${Object(fields).failures}`),
    },
  });
  const settled = () => new Promise((resolve) => setImmediate(resolve));
  const fire = async (ms: 1 | 2) => {
    const timer = timers.get(ms);
    timers.delete(ms);
    timer?.();
    await settled();
  };
  return { loop, sent, logged, timers, settled, fire };
}

const probed = (reason: string | undefined) => ({ kind: "probed", reason });
const failed = { kind: "probeFailed" };

test("a probe runs again and again, and its text is the reason", async () => {
  const answers = ["the queue is long", undefined, "", false, "x".repeat(600)];
  const { loop, sent, settled, fire } = setUp(async () => answers.shift());
  loop.start();
  await settled();
  for (let n = 0; n < 4; n++) await fire(2);
  assert.deepEqual(sent, [
    probed("the queue is long"),
    ...[probed(undefined), probed(undefined), probed(undefined)],
    probed("x".repeat(500)),
  ]);
  loop.stop();
});

test("a probe that throws is reported, and the third time ends its pause", async () => {
  let healthy = true;
  const { loop, sent, logged, settled, fire } = setUp(() => {
    if (healthy) return "busy";
    throw new RangeError("no route");
  });
  loop.start();
  await settled();
  healthy = false;
  for (let n = 0; n < 4; n++) await fire(2);
  assert.deepEqual(sent, [probed("busy"), failed, failed, failed, probed(undefined), failed]);
  healthy = true;
  await fire(2);
  assert.deepEqual(sent.slice(6), [probed("busy")]);
  assert.deepEqual(logged, [
    ...["worker.probe.failed 1", "worker.probe.failed 2", "worker.probe.failed 4"],
    "worker.probe.recovered",
  ]);
  loop.stop();
});

test("a probe that hangs is aborted and counts as a failure; the next one is asked", async () => {
  const signals: AbortSignal[] = [];
  const { loop, sent, settled, fire } = setUp(({ signal }) => {
    signals.push(signal);
    return new Promise(() => undefined);
  });
  loop.start();
  await settled();
  await fire(1);
  assert.deepEqual([sent, signals[0]?.aborted], [[failed], true]);
  await fire(2);
  assert.equal(signals.length, 2);
  loop.stop();
});

test("a probe that returns neither a text nor nothing is a fault", async () => {
  const { loop, sent, settled } = setUp(() => true);
  loop.start();
  await settled();
  assert.deepEqual(sent, [failed]);
  loop.stop();
});

test("a stopped loop asks and reports no more", async () => {
  const answer = Promise.withResolvers<string>();
  const { loop, sent, timers, settled } = setUp(() => answer.promise);
  loop.start();
  await settled();
  loop.stop();
  answer.resolve("late");
  await settled();
  assert.deepEqual([sent, timers.size], [[], 0]);
});
