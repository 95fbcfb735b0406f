import assert from "node:assert/strict";
import { once } from "node:events";
import { describe, it } from "node:test";
import { durationMs } from "@bufbuild/protobuf/wkt";
import type { TaskContext } from "./index.ts";
import { testWorker } from "./test-kit/index.ts";
import { connected } from "./worker-fixture.test.ts";

/** Runs a handler in a phase that is stuck after 60 s, until it is cancelled. */
async function inPhase(body: (ctx: TaskContext) => unknown) {
  const worker = await testWorker({
    tasks: {
      build: async (ctx) => {
        await ctx.phase(
          "compile",
          async () => {
            await body(ctx);
            await once(ctx.signal, "abort");
          },
          { warnAfterS: 60 },
        );
      },
    },
  });
  const run = worker.start("build");
  await run.until(({ started }) => started);
  const seen = () => run.events.map(({ name }) => name.replace("task.compile.", ""));
  return { worker, run, seen, [Symbol.asyncDispose]: () => worker[Symbol.asyncDispose]() };
}

describe("ctx.expect()", () => {
  it("keeps a phase from being stuck for its time, and not longer", async () => {
    await using made = await inPhase((ctx) => ctx.expect({ quietForS: 600, reason: "compiles" }));
    const { worker, run, seen } = made;
    assert.deepEqual(run.expectations, [{ quietForS: 600, reason: "compiles" }]);
    await worker.clock.pass(599);
    assert.deepEqual(seen(), ["started"]);
    await worker.clock.pass(1);
    assert.deepEqual(seen(), ["started", "stuck"]);
    assert.equal(run.events.at(-1)?.attributes.elapsed_ms, "600000");
  });

  it("shorter than the threshold changes nothing", async () => {
    await using made = await inPhase((ctx) => ctx.expect({ quietForS: 1 }));
    const { worker, seen } = made;
    await worker.clock.pass(59);
    assert.deepEqual(seen(), ["started"]);
    await worker.clock.pass(1);
    assert.deepEqual(seen(), ["started", "stuck"]);
  });

  it("takes a warning back, and a later call takes its place", async () => {
    const says = [Promise.withResolvers<number>(), Promise.withResolvers<number>()];
    await using made = await inPhase((ctx) => {
      for (const { promise } of says) void promise.then((quietForS) => ctx.expect({ quietForS }));
    });
    const { worker, run, seen } = made;
    await worker.clock.pass(100);
    says[0]?.resolve(600);
    await worker.clock.pass(500);
    assert.deepEqual(seen(), ["started", "stuck", "recovered"]);
    assert.equal(run.events.at(-1)?.attributes.by, "expectation");
    says[1]?.resolve(10);
    await worker.clock.pass(10);
    assert.deepEqual(seen(), ["started", "stuck", "recovered", "stuck"]);
  });

  for (const [sign, show] of [
    ["progress", (ctx: TaskContext) => ctx.progress(0.5)],
    ["an iteration", (ctx: TaskContext) => ctx.iteration(1)],
    ["a checkpoint", (ctx: TaskContext) => ctx.checkpoint(1)],
    ["another phase", (ctx: TaskContext) => ctx.phase("check", () => undefined)],
  ] as const) {
    it(`ends with ${sign}, from which the threshold counts anew`, async () => {
      const shows = Promise.withResolvers<void>();
      await using made = await inPhase(async (ctx) => {
        ctx.progress(0.1);
        ctx.expect({ quietForS: 600 });
        void shows.promise.then(() => show(ctx));
      });
      const { worker, seen } = made;
      await worker.clock.pass(300);
      shows.resolve();
      await worker.clock.pass(59);
      assert.ok(!seen().includes("stuck"), seen().join());
      await worker.clock.pass(1);
      assert.ok(seen().includes("stuck"), seen().join());
    });
  }

  it("refuses what is no time, and a reason that is no text", async () => {
    const thrown: unknown[] = [];
    await using made = await inPhase((ctx) => {
      for (const given of [
        { quietForS: 0 },
        { quietForS: 604_801 },
        { quietForS: Number.NaN },
        { quietForS: "60" },
        {},
        undefined,
        { quietForS: 1, reason: 7 },
      ])
        try {
          ctx.expect(given as never);
        } catch (error) {
          thrown.push(error);
        }
    });
    assert.deepEqual(
      thrown.map((error) => (error as Error).name),
      ["RangeError", "RangeError", "RangeError", "RangeError", "RangeError", "TypeError", "TypeError"],
    );
    assert.match(
      String(thrown[1]),
      /604801 \}\): give a number of seconds above 0 and up to 604800 \(7 days\)/,
    );
    assert.deepEqual(made.run.expectations, []);
  });

  it("is in the next heartbeat, which is sent at once, and in those until something is shown", async () => {
    const shows = Promise.withResolvers<void>();
    await using made = await connected({
      tasks: {
        build: async (ctx) => {
          ctx.expect({ quietForS: 600, reason: "x".repeat(300) });
          await shows.promise;
          ctx.progress(0.5);
          await once(ctx.signal, "abort");
        },
      },
    });
    const { stream } = made;
    stream.send({
      case: "assignments",
      value: { assignments: [{ attemptId: "t-1.1", taskId: "t-1", taskType: "build" }] },
    });
    const { running } = await stream.next("heartbeat", (beat) => beat.running[0]?.expectation !== undefined);
    const { quietFor, age, reason } = running[0]?.expectation ?? {};
    assert.equal(quietFor && durationMs(quietFor), 600_000);
    assert.ok(age && durationMs(age) < 60_000);
    assert.equal(reason, "x".repeat(256));
    shows.resolve();
    await stream.next("heartbeat", (beat) => beat.running[0] !== undefined && !beat.running[0].expectation);
  });
});
