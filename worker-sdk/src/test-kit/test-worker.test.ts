import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { z } from "zod";
import { defineTask } from "../contract/define-task.ts";
import { LifespanError, NonRetryableError } from "../errors.ts";
import { Worker } from "../worker.ts";
import { runTask, testWorker } from "./index.ts";

const resize = defineTask({
  type: "image.resize",
  input: z.object({ url: z.string(), width: z.number().int() }),
  output: z.object({ bytes: z.number() }),
});

test("a task is run once: its result, its checks and its failures are those of a worker", async () => {
  const worker = new Worker().handle(resize, ({ width }) => ({ bytes: width * 2 }));
  const done = await runTask(worker, resize, { url: "a", width: 3 });
  assert.equal(done.state, "succeeded");
  assert.equal(done.output?.bytes, 6);
  assert.equal(done.contentType, "application/json");
  const bad = await runTask(worker, "image.resize", { url: "a", width: 1.5 });
  assert.equal(bad.state, "failed");
  assert.equal(bad.failure?.code, "INVALID_PAYLOAD");
  assert.equal(bad.failure?.class, "non_retryable");
  const thrown = await runTask(
    {
      tasks: {
        refuse: () => {
          throw new NonRetryableError("no", { code: "NO", details: { at: 1 } });
        },
      },
    },
    "refuse",
  );
  assert.deepEqual([thrown.failure?.code, thrown.failure?.details], ["NO", { at: 1 }]);
  const bytes = await runTask(
    { tasks: { echo: (ctx: { rawPayload: Uint8Array }) => ctx.rawPayload } },
    "echo",
    Buffer.from("x"),
  );
  assert.deepEqual(bytes.output, new Uint8Array([120]));
  await assert.rejects(
    runTask(worker, "image.resise"),
    /no handler for the type "image.resise"; did you mean image.resize\?/,
  );
});

test("time is virtual: timeouts, watchdogs and times follow the test's clock", async () => {
  await using worker = await testWorker({
    concurrency: 2,
    tasks: {
      slow: async (ctx) => {
        await ctx.phase("model_load", () => once(ctx.signal, "abort"));
      },
      limited: async (ctx) => ctx.phase("upload", () => once(ctx.signal, "abort")),
    },
  });
  const run = worker.start("slow", null, {
    timeouts: { runS: 300 },
    watchdogs: { phasesS: { model_load: 60 } },
  });
  const other = worker.start("limited", null, { timeouts: { phasesS: { upload: 90 } } });
  // Handlers that may block start in turns of the loop of their own.
  await other.until(({ started }) => run.started && started);
  await worker.clock.pass(59);
  assert.deepEqual(
    run.events.map(({ name }) => name),
    ["task.model_load.started"],
  );
  await worker.clock.pass(1);
  assert.equal(run.events.at(-1)?.name, "task.model_load.stuck");
  assert.equal(run.events.at(-1)?.attributes.elapsed_ms, "60000");
  await worker.clock.pass(30);
  const late = await other.ended;
  assert.equal(late.failure?.message, "Phase upload ran longer than 90 s.");
  await worker.clock.pass(210);
  const outcome = await run.ended;
  assert.equal(outcome.failure?.class, "timed_out");
  assert.equal(outcome.runS, 300);
  assert.deepEqual(outcome.phases, [{ phase: "model_load", durationS: 300, failed: false }]);
});

test("a handler is cancelled, revoked or released as a worker does it, and until() waits for its reports", async () => {
  const gate = Promise.withResolvers<void>();
  const worker = await testWorker({
    concurrency: 4,
    tasks: {
      wait: async (ctx) => {
        ctx.progress({ done: 1, total: 4, message: "page 1" });
        ctx.output("some ");
        ctx.output("text");
        await once(ctx.signal, "abort");
        ctx.signal.throwIfAborted();
      },
      once: () => gate.promise,
    },
  });
  const cancelled = worker.start("wait");
  await cancelled.until(({ output }) => output.toString() === "some text");
  assert.deepEqual(cancelled.progress, [
    { fraction: undefined, done: 1, total: 4, unit: "", message: "page 1" },
  ]);
  cancelled.cancel("not needed");
  assert.equal((await cancelled.ended).state, "cancelled");
  const revoked = worker.start("wait");
  revoked.revoke();
  assert.equal((await revoked.ended).state, "revoked");
  const short = worker.start("once");
  gate.resolve();
  await short.ended;
  await assert.rejects(
    short.until(({ progress }) => progress.length > 0),
    /t-3.1 has ended, .* 0 progress reports/,
  );
  const open = worker.start("wait");
  await worker.stop();
  const released = await open.ended;
  assert.deepEqual([released.state, released.message], ["released", "drain"]);
  assert.throws(() => worker.start("wait"), { name: "WorkerStoppedError" });
});

test("slots, resources, budgets, pauses of keys and the log are those of a worker", async () => {
  const worker: Worker<Record<string, unknown>, undefined> = new Worker({
    prefetch: 1,
    tasks: {
      hold: (ctx) => once(ctx.signal, "abort"),
      count: async (ctx) => {
        ctx.log.info({ page: 1 }, "counted");
        for (let n = ctx.iterations + 1; n <= 5; n++) ctx.iteration(n);
      },
      pause: async (ctx) => (await ctx.pauseKey("api", 30, "HTTP 429")) instanceof Date,
      model: (): boolean => worker.resources.has("model:x"),
    },
  });
  worker.resources.register("model:x", { load: () => {} });
  worker.resources.register("model:broken", {
    load: () => {
      throw new Error("no such file");
    },
  });
  await using bench = await testWorker(worker);
  const first = bench.start("hold");
  const second = bench.start("hold");
  assert.deepEqual([first.started, second.started], [true, false]);
  await assert.rejects(bench.run("hold"), /The worker refused t-3.1 with NO_SLOT: no slot is free/);
  first.cancel();
  await second.until(({ started }) => started);
  second.cancel();
  await second.ended;
  const spent = bench.start("count", null, { iterations: 2, maxIterations: 4, attempt: 2 });
  assert.equal((await spent.ended).failure?.code, "BUDGET_EXHAUSTED");
  assert.equal(spent.iterations, 4);
  const [line] = bench.log.filter(({ message }) => message === "counted");
  assert.equal(line?.fields.attempt_id, "t-4.2");
  const pausing = bench.start("pause");
  assert.equal((await pausing.ended).output, true);
  assert.deepEqual(pausing.pausedKeys, [{ key: "api", forS: 30, reason: "HTTP 429" }]);
  assert.equal((await bench.run("model", null, { resources: ["model:x"] })).output, true);
  await assert.rejects(
    bench.run("model", null, { resources: ["model:broken"] }),
    /requires model:broken, which could not be loaded: Error: no such file/,
  );
  await assert.rejects(bench.run("model", null, { resources: ["y"] }), /this worker has no loader for y/);
});

test("the lifespan is set up once and torn down, middleware surrounds, scratch folders are kept until the stop", async () => {
  const steps: string[] = [];
  const worker = new Worker({
    lifespan: ({ defer }) => {
      defer(() => steps.push("down"));
      steps.push("up");
      return { greeting: "Hello" };
    },
    taskLifespan: (ctx) => ({ name: `${ctx.services.greeting} ${ctx.task.id}` }),
    tasks: {
      fail: async (ctx) => {
        const folder = await ctx.scratch();
        await writeFile(join(folder, "page.txt"), "x");
        steps.push(ctx.taskServices.name);
        throw new NonRetryableError(folder);
      },
    },
  });
  worker.use(async (_, next) => {
    steps.push("before");
    return next();
  });
  const bench = await testWorker(worker);
  const { failure } = await bench.run("fail");
  const folder = failure?.message ?? "";
  assert.ok(existsSync(join(folder, "page.txt")), folder);
  await bench.stop();
  assert.ok(!existsSync(dirname(folder)));
  assert.deepEqual(steps, ["up", "before", "Hello t-1", "down"]);
  // The worker is as it was: another test may use it.
  await using again = await testWorker(worker);
  assert.equal((await again.run("fail", null, { taskId: "t-9" })).state, "failed");
  assert.deepEqual(steps.slice(4), ["up", "before", "Hello t-9"]);
  const broken = {
    tasks: { t: () => 1 },
    lifespan: () => {
      throw new RangeError("no database");
    },
  };
  await assert.rejects(testWorker(broken), LifespanError);
});

test("a handler sees what a scheduler would say of its task", async () => {
  await using worker = await testWorker({
    capacities: { gpu_mb: 8000 },
    tasks: {
      facts: ({ task, attempt, headers, schedule, earlierProgress, contentType, rawPayload }) => ({
        ...{ task, attempt, headers, schedule, earlierProgress, contentType },
        size: rawPayload.byteLength,
      }),
    },
  });
  const { output } = await worker.run("facts", new Uint8Array(3), {
    ...{ taskId: "t-7", attempt: 2, maxAttempts: 3, queue: "nightly", headers: { tenant: "a" } },
    ...{ cost: { gpu_mb: 4000 }, earlierProgress: { done: 3, total: 4, unit: "pages" } },
    schedule: { name: "nightly", tickTime: new Date(0) },
  });
  assert.deepEqual(output, {
    task: { id: "t-7", type: "facts", queue: "nightly", cost: { slots: 1, gpu_mb: 4000 } },
    attempt: { id: "t-7.2", number: 2, max: 3 },
    headers: { tenant: "a" },
    schedule: { name: "nightly", tickTime: "1970-01-01T00:00:00.000Z", manual: false },
    earlierProgress: { done: 3, total: 4, unit: "pages" },
    contentType: "application/octet-stream",
    size: 3,
  });
});

test("attempts of a batch handler are gathered, in one test after the other", async () => {
  const embed = defineTask({ type: "embed", input: z.string(), output: z.number() });
  const calls: number[] = [];
  const worker = new Worker({ concurrency: 4 }).handleBatch(
    embed,
    (texts) => {
      calls.push(texts.length);
      return texts.map((text) => text.length);
    },
    { batch: { size: 4, waitMs: 50 } },
  );
  for (const _ of [1, 2]) {
    await using bench = await testWorker(worker);
    const runs = ["a", "bcd"].map((text) => bench.start(embed, text));
    await Promise.all(runs.map((run) => run.until(({ started }) => started)));
    await bench.clock.pass(0.05);
    const outcomes = await Promise.all(runs.map(({ ended }) => ended));
    assert.deepEqual(
      outcomes.map(({ output }) => output),
      [1, 3],
    );
  }
  assert.deepEqual(calls, [2, 2]);
});

test("a checkpoint is stored, and the next attempt goes on from it", async () => {
  await using worker = await testWorker({
    tasks: {
      pages: async (ctx) => {
        for (let page = Number(ctx.resumeFrom ?? 0); page < 3; page++) await ctx.checkpoint(page + 1);
        return ctx.resumeFrom ?? null;
      },
    },
  });
  const first = worker.start("pages");
  await first.ended;
  assert.deepEqual(first.checkpoints, [1, 2, 3]);
  const second = worker.start("pages", null, { attempt: 2, resumeFrom: 2 });
  assert.equal((await second.ended).output, 2);
  assert.deepEqual(second.checkpoints, [3]);
});

test("what is not valid is refused in words", async () => {
  await using worker = await testWorker({ tasks: { t: () => 1 } });
  assert.throws(() => worker.start("t", null, { attempt: 0 }), /option attempt: 0 is not an integer from 1/);
  assert.throws(
    () => worker.start("t", null, { attempt: 3, maxAttempts: 2 }),
    /option maxAttempts: 2 is not an integer from 3/,
  );
  assert.throws(() => worker.start("t", null, { timeouts: { runS: -1 } }), /option timeouts.runS: -1/);
  assert.throws(() => worker.start("t", new Map()), /the payload is or has a Map/);
  await assert.rejects(worker.clock.pass(-1), /pass\(-1\)/);
  await assert.rejects(testWorker(new Worker()), /register at least one task type/);
});

test("a step that an earlier attempt has finished is not run again, and the others are reported", async () => {
  const calls: string[] = [];
  await using worker = await testWorker({
    tasks: {
      solve: async (ctx) => {
        const code = await ctx.step("write", () => {
          calls.push("write");
          return { branch: "b-1" };
        });
        await ctx.step("open", () => Promise.reject(new Error("down")), { optional: true });
        return code;
      },
    },
  });
  const first = worker.start("solve");
  const outcome = await first.ended;
  assert.deepEqual(
    [outcome.state, outcome.output, outcome.warnings.length],
    ["succeeded", { branch: "b-1" }, 1],
  );
  assert.deepEqual(
    first.steps.map(({ name, state, result }) => [name, state, result]),
    [
      ["write", "done", { branch: "b-1" }],
      ["open", "failed", undefined],
    ],
  );
  const second = worker.start("solve", null, { attempt: 2, steps: { write: { branch: "b-0" } } });
  assert.deepEqual((await second.ended).output, { branch: "b-0" });
  assert.deepEqual(calls, ["write"]);
});
