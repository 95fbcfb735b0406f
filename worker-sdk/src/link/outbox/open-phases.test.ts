import assert from "node:assert/strict";
import { test } from "node:test";
import { Deadlines } from "../../attempt/deadlines.ts";
import type { Clock } from "../../clock.ts";
import { OpenPhases } from "./open-phases.ts";

/** Time passes when the test says so; what was due is called then. */
class StepClock implements Clock {
  #nowMs = 1_000;
  readonly #timers = new Map<() => void, number>();

  monotonicMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, callback: () => void): () => void {
    this.#timers.set(callback, this.#nowMs + delayMs);
    return () => this.#timers.delete(callback);
  }

  every(): () => void {
    throw new Error("not used");
  }

  to(ms: number): void {
    for (;;) {
      const [next] = [...this.#timers].sort((a, b) => a[1] - b[1]);
      if (next === undefined || next[1] > ms) break;
      this.#timers.delete(next[0]);
      this.#nowMs = Math.max(this.#nowMs, next[1]);
      next[0]();
    }
    this.#nowMs = ms;
  }

  get timers(): number {
    return this.#timers.size;
  }
}

function open() {
  const clock = new StepClock();
  const told: string[] = [];
  const phases = new OpenPhases(clock, new Deadlines(clock), {
    event: (phase, change, facts) =>
      told.push(`${phase} ${change} ${facts.elapsed_ms} ${facts.by ?? ""}`.trim()),
  });
  const start = (
    number: number,
    phase: string,
    rest: { warnAfterMs?: number; movable?: boolean; sinceMs?: number },
  ) =>
    phases.started({
      kind: "phaseStarted",
      attemptId: "t-1.1",
      taskId: "t-1",
      taskType: "t",
      number,
      phase,
      sinceMs: rest.sinceMs ?? clock.monotonicMs(),
      movable: rest.movable ?? false,
      warnAfterMs: rest.warnAfterMs,
      timeoutMs: undefined,
      context: { model: "m" },
    });
  return { clock, told, phases, start };
}

test("a phase counts from when it began, however late the link hears of it", () => {
  const { clock, told, phases, start } = open();
  start(1, "load", { warnAfterMs: 500, sinceMs: 400 });
  clock.to(1_000);
  assert.deepEqual(told, ["load stuck 600"]);
  assert.deepEqual(phases.stuck(1_100), [
    { phase: "load", ageMs: 700, stillMs: 700, warnAfterMs: 500, warnings: 1 },
  ]);
});

test("phases of one name are distinct, and an outer one is watched behind an inner one", () => {
  const { clock, told, phases, start } = open();
  start(1, "step", { warnAfterMs: 300 });
  start(2, "step", { warnAfterMs: 900 });
  assert.equal(phases.current?.warnAfterMs, 900);
  clock.to(1_500);
  phases.ended(2, "completed");
  assert.deepEqual(told, ["step stuck 300"], "the inner one was not stuck");
  phases.ended(1, "failed");
  assert.deepEqual(told, ["step stuck 300", "step recovered 500 failed"]);
  assert.equal(phases.current, undefined);
  assert.equal(clock.timers, 0);
});

test("progress moves only what is declared to make progress", () => {
  const { clock, told, phases, start } = open();
  start(1, "load", { warnAfterMs: 300 });
  start(2, "train", { warnAfterMs: 300, movable: true });
  clock.to(1_250);
  phases.progress();
  clock.to(1_500);
  assert.deepEqual(told, ["load stuck 300"]);
  clock.to(1_600);
  assert.deepEqual(told, ["load stuck 300", "train stuck 550"]);
  phases.progress();
  assert.ok(told.includes("train recovered 600 progress"), told.join());
});

test("zero and no threshold are not watched, and what is given up says nothing more", () => {
  const { clock, told, phases, start } = open();
  start(1, "a", { warnAfterMs: 0 });
  start(2, "b", {});
  start(3, "c", { warnAfterMs: 100 });
  clock.to(1_200);
  assert.deepEqual(told, ["c stuck 100"]);
  phases.cancel();
  phases.ended(3, "completed");
  clock.to(9_000);
  assert.deepEqual(told, ["c stuck 100"]);
  assert.equal(clock.timers, 0);
});
