import assert from "node:assert/strict";
import { test } from "node:test";
import { HeartbeatSender } from "../../link/health/heartbeat.ts";
import type { ToLink } from "../../link/messages.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import { Deadlines } from "../deadlines.ts";
import { ProgressThrottle } from "../reports/progress.ts";
import { PhaseWatchdog } from "./phase-watchdog.ts";

function watched(warnAfterMs: number) {
  const clock = new ManualClock();
  const told: [string, number][] = [];
  const watch = new PhaseWatchdog(clock, new Deadlines(clock), warnAfterMs, {
    stuck: (elapsedMs) => told.push(["stuck", elapsedMs]),
    recovered: (elapsedMs) => told.push(["recovered", elapsedMs]),
  });
  return { clock, told, watch };
}

test("a stuck phase is reported at intervals that double, and as recovered at its end", () => {
  const { clock, told, watch } = watched(1000);
  clock.advance(999);
  assert.deepEqual(told, []);
  clock.advance(7001);
  watch.close();
  clock.advance(60_000);
  assert.deepEqual(told, [
    ["stuck", 1000],
    ["stuck", 3000],
    ["stuck", 7000],
    ["recovered", 8000],
  ]);
  assert.equal(clock.timerCount, 0);
});

test("progress starts the watch anew and takes a warning back; a quiet end says nothing", () => {
  const { clock, told, watch } = watched(1000);
  clock.advance(900);
  watch.progress();
  clock.advance(900);
  assert.deepEqual(told, []);
  clock.advance(100);
  watch.progress();
  clock.advance(500);
  watch.close();
  assert.deepEqual(told, [
    ["stuck", 1900],
    ["recovered", 1900],
  ]);
});

test("deadlines fire in time on one timer, however they are added, moved and removed", () => {
  const clock = new ManualClock();
  const deadlines = new Deadlines(clock);
  const fired: string[] = [];
  deadlines.add(300, () => fired.push("c"));
  const moved = deadlines.add(100, () => fired.push("a"));
  const removed = deadlines.add(200, () => fired.push("b"));
  assert.equal(clock.timerCount, 1);
  deadlines.remove(removed);
  deadlines.postpone(moved, 400);
  clock.advance(350);
  assert.deepEqual(fired, ["c"]);
  clock.advance(100);
  assert.deepEqual(fired, ["c", "a"]);
  assert.deepEqual([deadlines.size, clock.timerCount], [0, 0]);
});

test("progress is sent at once, then the latest of each interval, with the count of what was left out", () => {
  const clock = new ManualClock();
  const sent: ToLink[] = [];
  const send = (message: ToLink) => void sent.push(message);
  const link = { send, sendStarted: () => undefined, sendSuccess: () => undefined, flush: () => undefined };
  const throttle = new ProgressThrottle("t-1.1", { clock, deadlines: new Deadlines(clock), link });
  for (const share of [0.1, 0.2, 0.3]) throttle.report(share);
  clock.advance(100);
  throttle.report({ done: 4, total: 10, message: "pages" });
  throttle.close();
  const brief = sent.map(
    (message) => message.kind === "progress" && [message.fraction, message.done, message.shed],
  );
  assert.deepEqual(brief, [
    [0.1, undefined, 0],
    [0.3, undefined, 1],
    [undefined, 4, 0],
  ]);
  assert.throws(() => throttle.report(1.1), RangeError);
  assert.throws(() => throttle.report({ done: -1 }), RangeError);
  assert.throws(() => throttle.report(Number.NaN), RangeError);
});

test("heartbeats without an answer for three intervals are reported once; a process that was stopped gets time", () => {
  const clock = new ManualClock();
  const silent: number[] = [];
  let sent = 0;
  const heartbeats = new HeartbeatSender(clock, {
    send: () => {
      sent += 1;
    },
    unanswered: (ms) => silent.push(ms),
  });
  heartbeats.start(100);
  clock.advance(250);
  heartbeats.answered();
  clock.advance(250);
  assert.deepEqual(silent, []);
  clock.jump(5000);
  clock.advance(0);
  assert.deepEqual(silent, []);
  clock.advance(1000);
  assert.equal(silent.length, 1);
  const sentByThen = sent;
  clock.advance(1000);
  assert.equal(sent, sentByThen);
});
