import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import type { PhaseLimits, PhaseOptions, RunningPhase, TaskContext } from "./index.ts";
import { testWorker } from "./test-kit/index.ts";

/** Runs a phase that ends when it is aborted, with a declared limit of 30 s. */
async function inPhase(
  body: (phase: RunningPhase, ctx: TaskContext) => unknown,
  options: PhaseOptions = {},
  timeouts?: { readonly phasesS: Readonly<Record<string, number>> },
) {
  const worker = await testWorker({
    tasks: {
      send: {
        phases: { upload: { timeoutS: 30 } },
        handler: (ctx) =>
          ctx.phase(
            "upload",
            async (phase) => {
              await body(phase, ctx);
              await once(ctx.signal, "abort");
            },
            options,
          ),
      },
    },
  });
  const run = worker.start("send", null, timeouts === undefined ? {} : { timeouts });
  await run.until(({ events }) => events.length > 0);
  /** Seconds until it times out, of whole ones. */
  const timesOutAfter = async (seconds: number) => {
    await worker.clock.pass(seconds - 1 - worker.clock.nowS);
    assert.ok(!run.events.some(({ name }) => name === "task.upload.failed"), "too early");
    await worker.clock.pass(1);
    const { failure } = await run.ended;
    assert.equal(failure?.code, "TIMED_OUT");
    return failure.message;
  };
  return { worker, run, timesOutAfter, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}

describe("the limits of a phase that its handler sets", () => {
  it("win over those of the task, and these over the declaration", async () => {
    const nothing = () => undefined;
    await using declared = await inPhase(nothing);
    assert.match(await declared.timesOutAfter(30), /Phase upload ran longer than 30 s/);
    await using ofTask = await inPhase(nothing, {}, { phasesS: { upload: 20 } });
    assert.match(await ofTask.timesOutAfter(20), /longer than 20 s/);
    await using ofHandler = await inPhase(nothing, { timeoutS: 50 }, { phasesS: { upload: 20 } });
    assert.match(await ofHandler.timesOutAfter(50), /longer than 50 s/);
  });

  it("count from the call of extend(), also where it gives less time", async () => {
    for (const [timeoutS, total] of [
      [100, 110],
      [5, 15],
    ] as const) {
      const asks = Promise.withResolvers<void>();
      await using made = await inPhase((phase) => {
        void asks.promise.then(() => phase.extend({ timeoutS }));
      });
      await made.worker.clock.pass(10);
      asks.resolve();
      assert.match(await made.timesOutAfter(total), new RegExp(`longer than ${total} s`));
    }
  });

  it("may be none, also for the threshold", async () => {
    const end = Promise.withResolvers<void>();
    await using made = await inPhase(
      async (phase) => {
        phase.extend({ timeoutS: 0, warnAfterS: 0 });
        await end.promise;
        throw new Error("done");
      },
      { warnAfterS: 5 },
    );
    await made.worker.clock.pass(1_000_000);
    assert.deepEqual(
      made.run.events.map(({ name }) => name),
      ["task.upload.started"],
    );
    end.resolve();
    assert.equal((await made.run.ended).failure?.message, "done");
  });

  it("take a warning back when the threshold is extended", async () => {
    const asks = Promise.withResolvers<void>();
    await using made = await inPhase(
      (phase) => {
        phase.extend({ timeoutS: 0 });
        void asks.promise.then(() => phase.extend({ warnAfterS: 60 }));
      },
      { warnAfterS: 5 },
    );
    await made.worker.clock.pass(10);
    asks.resolve();
    await made.worker.clock.pass(59);
    const names = () => made.run.events.map(({ name }) => name.replace("task.upload.", ""));
    assert.deepEqual(names(), ["started", "stuck", "recovered"]);
    assert.equal(made.run.events.at(-1)?.attributes.by, "extension");
    await made.worker.clock.pass(1);
    assert.deepEqual(names(), ["started", "stuck", "recovered", "stuck"]);
    assert.equal(made.run.events.at(-1)?.attributes.warn_after_s, "70");
  });

  it("are not those of a phase that has ended", async () => {
    await using worker = await testWorker({
      tasks: {
        send: async (ctx) => {
          const kept = await ctx.phase("prepare", (phase) => phase, { timeoutS: 10 });
          kept.extend({ timeoutS: 1 });
          await once(ctx.signal, "abort");
        },
      },
    });
    const run = worker.start("send");
    await run.until(({ events }) => events.length > 1);
    await worker.clock.pass(100);
    run.cancel();
    assert.equal((await run.ended).state, "cancelled");
  });

  it("are refused where they are no times", async () => {
    const thrown: string[] = [];
    const tried = (limits: PhaseLimits) => (phase: RunningPhase) => {
      try {
        phase.extend(limits);
      } catch (error) {
        thrown.push(String(error));
      }
    };
    for (const limits of [{}, { timeoutS: -1 }, { warnAfterS: 31_622_401 }, { timeoutS: "5" as never }]) {
      await using made = await inPhase(tried(limits));
      await made.timesOutAfter(30);
    }
    assert.deepEqual(thrown, [
      'RangeError: Phase "upload": extend() got neither timeoutS nor warnAfterS; give at least one.',
      'RangeError: Phase "upload": option timeoutS: -1 is not a number from 0 to 31622400; 0 means never.',
      'RangeError: Phase "upload": option warnAfterS: 31622401 is not a number from 0 to 31622400; 0 means never.',
      'RangeError: Phase "upload": option timeoutS: 5 is not a number from 0 to 31622400; 0 means never.',
    ]);
  });
});
