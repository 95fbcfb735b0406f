import assert from "node:assert/strict";
import { beforeEach, describe, it } from "node:test";
import { NonRetryableError } from "../../errors.ts";
import type { KeptStep } from "../../link/assignment.ts";
import type { ToLink } from "../../link/messages.ts";
import { silentLogger, taskLog } from "../../logging/logger.ts";
import { ManualClock } from "../../testing/manual-clock.ts";
import type { RunningPhase } from "../phases/phase-options.ts";
import type { StepOptions } from "./step-options.ts";
import { type SteppingAttempt, Steps } from "./steps.ts";

const KEPT: KeptStep = {
  ...{ name: "work", state: "done", optional: false, result: '{"branch":"b-1"}' },
  ...{ code: "", message: "", skip: false },
};

describe("the steps of an attempt", () => {
  let clock: ManualClock;
  let sent: string[];
  let warned: string[];
  let stopping: AbortController;
  let stop: unknown;

  beforeEach(() => {
    clock = new ManualClock();
    sent = [];
    warned = [];
    stopping = new AbortController();
    stop = undefined;
  });

  function steps(...kept: readonly KeptStep[]): Steps {
    const attempt = {
      id: "t-1.2",
      assignment: { steps: kept },
      get stop() {
        return stop;
      },
      signal: stopping.signal,
      phase: async <T>(_name: string, fn: (phase: RunningPhase) => T | Promise<T>) => fn({ extend() {} }),
      warn: ({ step, code, message }) => warned.push(`${step} ${code} ${message}`),
      log: taskLog(silentLogger),
    } as SteppingAttempt;
    const link = {
      send(message: ToLink) {
        assert.ok(message.kind === "step");
        const { name, state, result, code } = message.step;
        sent.push([name, state, result || code].filter(Boolean).join(" "));
      },
      flush() {},
    };
    return new Steps(attempt, { clock, link });
  }

  it("runs a step, reports its beginning and its end, and gives its result in the form that is kept", async () => {
    const at = new Date(0);
    const result = await steps().run("work", async () => ({ at, none: undefined }), {});
    assert.deepEqual(result, { at: at.toJSON() });
    assert.equal(await steps().run("silent", () => undefined, {}), null);
    assert.deepEqual(sent, [
      "work pending",
      `work done {"at":"${at.toJSON()}"}`,
      "silent pending",
      "silent done null",
    ]);
  });

  it("does not run what an earlier attempt has done, and runs what had failed or had not ended", async () => {
    const failed: KeptStep = { ...KEPT, name: "create_pr", state: "failed", result: "", code: "HTTP_502" };
    const all = steps(KEPT, failed, { ...KEPT, name: "notify", state: "pending", result: "" });
    const work = await all.run("work", () => assert.fail("it was done"), {});
    assert.deepEqual(work, { branch: "b-1" });
    assert.equal(await all.run("create_pr", () => 17, {}), 17);
    assert.equal(await all.run("notify", () => 18, {}), 18);
    assert.deepEqual(
      sent.filter((each) => each.includes("pending")),
      ["create_pr pending", "notify pending"],
    );
  });

  it("throws what a step throws, unless it is optional: then it warns", async () => {
    const all = steps();
    const fail = () => {
      throw new NonRetryableError("the token has expired", { code: "AUTH" });
    };
    await assert.rejects(all.run("one", fail, {}), { code: "AUTH" });
    assert.equal(await all.run("two", fail, { optional: true }), undefined);
    assert.deepEqual(sent, ["one pending", "one failed AUTH", "two pending", "two failed AUTH"]);
    assert.deepEqual(warned, ["two AUTH the token has expired"]);
  });

  it("leaves an optional step that is to be skipped as it is, with its warning", async () => {
    const skipped: KeptStep = {
      ...{ ...KEPT, name: "notify", state: "failed", optional: true, result: "" },
      ...{ code: "BUSY", message: "no answer", skip: true },
    };
    const all = steps(skipped, { ...skipped, name: "required" });
    assert.equal(await all.run("notify", () => assert.fail("it runs"), { optional: true }), undefined);
    assert.deepEqual([sent, warned], [[], ["notify BUSY no answer"]]);
    assert.equal(await all.run("required", () => 1, {}), 1, "the handler does not call it optional any more");
  });

  it("runs a step again after the delay, as often as it may, and not after a NonRetryableError", async () => {
    const all = steps();
    let runs = 0;
    const busy = () => {
      runs += 1;
      if (runs < 3) throw new Error("busy");
      return runs;
    };
    const retry: StepOptions = { retry: { count: 2, delayS: 10 } };
    const outcome = all.run("push", busy, retry);
    for (const expected of [1, 2]) {
      await settled();
      assert.equal(runs, expected);
      clock.advance(10_000);
    }
    assert.equal(await outcome, 3);
    runs = 0;
    const final = all.run(
      "other",
      () => {
        runs += 1;
        throw new NonRetryableError("never");
      },
      retry,
    );
    await assert.rejects(final, /never/);
    assert.equal(runs, 1);
    assert.equal(clock.timerCount, 0);
  });

  it("a step that is asked to stop has not failed, whether it is optional, runs or waits", async () => {
    const all = steps();
    const running = all.run("one", () => Promise.reject(new Error("aborted")), { optional: true });
    stop = "drain";
    await assert.rejects(running, /aborted/);
    stop = undefined;
    const waiting = all.run("two", () => Promise.reject(new Error("busy")), {
      retry: { count: 1, delayS: 60 },
    });
    await settled();
    stop = "cancelled";
    stopping.abort(new Error("cancelled"));
    await assert.rejects(waiting, /cancelled/);
    await assert.rejects(
      all.run("three", () => 1, {}),
      /cancelled/,
    );
    assert.deepEqual([sent, warned], [["one pending", "two pending"], []]);
  });

  it("refuses results that it cannot keep", async () => {
    const all = steps();
    const invalid = { code: "STEP_RESULT_INVALID" };
    const cases: readonly (readonly [unknown, RegExp])[] = [
      [10n, /has no JSON form/],
      [new Map(), /is or has a Map, which has no JSON form/],
      ["x".repeat(16_383), /has 16385 bytes, and at most 16384 are kept; store it elsewhere/],
    ];
    for (const [index, [value, message]] of cases.entries())
      await assert.rejects(
        all.run(`bad_${index}`, () => value, { optional: true }),
        { ...invalid, message },
      );
    for (let n = 1; n <= 3; n++) await all.run(`large_${n}`, () => "x".repeat(16_000), {});
    await assert.rejects(
      all.run("large_4", () => "x".repeat(16_300), {}),
      {
        ...invalid,
        message: /takes the steps of the task to 6\d{4} bytes, and at most 65536 are kept/,
      },
    );
  });

  it("refuses one step too many, a name twice, and invalid arguments", async () => {
    const all = steps();
    for (let n = 1; n <= 32; n++) await all.run(`step_${n}`, () => n, {});
    await assert.rejects(
      all.run("one_more", () => 1, {}),
      { code: "TOO_MANY_STEPS" },
    );
    await assert.rejects(
      all.run("step_1", () => 1, {}),
      /"step_1" was used in this attempt already/,
    );
    const fresh = steps();
    const fault = async (name: unknown, fn: unknown, options: unknown = {}) =>
      fresh.run(name as string, fn as () => 1, options as StepOptions).then(
        () => "none",
        (error: unknown) => (error as Error).message,
      );
    const one = () => 1;
    assert.match(await fault("Create PR", one), /the name 'Create PR' must match/);
    assert.match(await fault("a", 7), /step\("a"\): needs a function, not 7/);
    assert.match(await fault("a", one, { optional: "yes" }), /option optional: 'yes' is not true or false/);
    assert.match(
      await fault("a", one, { retry: { count: 101 } }),
      /option retry\.count: 101 is not an integer/,
    );
    assert.match(
      await fault("a", one, { retry: { count: 1, delayS: -1 } }),
      /option retry\.delayS: -1 is not/,
    );
    assert.equal(sent.length, 64);
  });
});

/** Resolves after every promise callback that is ready. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
