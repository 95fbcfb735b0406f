import assert from "node:assert/strict";
import { once } from "node:events";
import { test } from "node:test";
import { RawScheduler } from "../../test/support/peers/raw-scheduler.ts";
import { LifespanError, OptionsError, PreflightError, Worker, WorkerStartedError } from "./index.ts";
import { outcomeOf } from "./worker-fixture.test.ts";

/** A logger that keeps the names of events. */
function keepingEvents() {
  const events: string[] = [];
  const note = (fields: unknown) => void events.push(String(Object(fields).event));
  const logger = { debug: note, info: note, warn: note, error: note, child: () => logger };
  return { events, logger };
}

test("services are typed, set up before the first task and torn down after the last handler", async () => {
  const server = await RawScheduler.start();
  const steps: string[] = [];
  const gate = Promise.withResolvers<void>();
  const worker = new Worker({
    scheduler: server.address,
    concurrency: 2,
    drainTimeoutS: 10,
    lifespan: async ({ defer, startup }) => {
      await startup.phase("custom:pool", () => steps.push("open"));
      defer(() => steps.push("close pool"));
      return { greeting: "Hello", [Symbol.asyncDispose]: async () => void steps.push("dispose") };
    },
    preflight: () => void steps.push("preflight"),
    taskLifespan: (ctx) => ({ id: `${ctx.services.greeting} ${ctx.task.id}` }),
    tasks: {
      wait: async (ctx) => {
        await gate.promise;
        steps.push("handler");
        // @ts-expect-error -- the services have no such member
        assert.equal(ctx.services.farewell, undefined);
        return `${ctx.services.greeting.trim()}, ${ctx.taskServices.id.trim()}`;
      },
    },
  });
  worker.use((ctx, next) => {
    ctx.services.greeting.trim();
    return next();
  });
  await worker.start();
  const stream = await server.stream();
  stream.assign("t-1.1", "wait", {});
  await stream.next("taskEvent", ({ name }) => name === "task.started");
  const stopped = worker.stop();
  await stream.next("draining");
  assert.deepEqual(steps, ["open", "preflight"]);
  gate.resolve();
  const outcome = await outcomeOf(stream, "t-1.1");
  assert.ok(outcome?.case === "succeeded");
  assert.equal(Buffer.from(outcome.value.output).toString(), '"Hello, Hello t-1"');
  await stopped;
  assert.deepEqual(steps, ["open", "preflight", "handler", "dispose", "close pool"]);
  assert.throws(() => worker.use((_, next) => next()), WorkerStartedError);
  server.stop();
});

test("what was set up is torn down when the set-up, the preflight or the registration fails", async () => {
  const server = await RawScheduler.start();
  const down: string[] = [];
  const failing = (options: object) =>
    new Worker({ scheduler: server.address, tasks: { t: () => 1 }, ...options });
  const half = failing({
    lifespan: ({ defer }: { defer: (step: () => unknown) => void }) => {
      defer(() => down.push("half"));
      throw new RangeError("no database");
    },
  });
  await assert.rejects(half.start(), (error) => {
    assert.ok(error instanceof LifespanError);
    assert.equal(error.message, "lifespan failed: no database");
    return true;
  });
  await half.closed;
  const later = failing({
    lifespan: () => ({ [Symbol.dispose]: () => down.push("whole") }),
    preflight: () => {
      throw new Error("no model");
    },
  });
  await assert.rejects(later.start(), PreflightError);
  await later.closed;
  assert.deepEqual(down, ["half", "whole"]);
  server.stop();
});

test("a worker that is stopped during its set-up aborts it, and tears down what it returns", async () => {
  const server = await RawScheduler.start();
  const down: string[] = [];
  const began = Promise.withResolvers<void>();
  const worker = new Worker({
    scheduler: server.address,
    tasks: { t: () => 1 },
    lifespan: async ({ defer, signal }) => {
      defer(() => down.push("closed"));
      began.resolve();
      await once(signal, "abort");
      signal.throwIfAborted();
    },
  });
  const started = assert.rejects(worker.start(), { name: "WorkerStoppedError" });
  await began.promise;
  await server.stream();
  await worker.stop({ timeoutS: 1 });
  await started;
  assert.equal(worker.status, "stopped");
  assert.deepEqual(down, ["closed"]);
  server.stop();
});

test("a tear-down that fails or hangs, and a handler that does not return, are logged and do not hold the end up", async () => {
  const server = await RawScheduler.start();
  const { events, logger } = keepingEvents();
  const worker = new Worker({
    scheduler: server.address,
    logger,
    tasks: { stuck: () => new Promise(() => {}) },
    lifespan: ({ defer }) => {
      defer(() => new Promise(() => {}));
      defer(() => {
        throw new Error("the pool is broken");
      });
    },
  });
  await worker.start();
  const stream = await server.stream();
  stream.assign("t-1.1", "stuck", {});
  await stream.next("taskEvent", ({ name }) => name === "task.started");
  await worker.stop({ timeoutS: 0 });
  assert.equal(worker.status, "stopped");
  assert.deepEqual(
    events.filter((event) => event.startsWith("worker.teardown.")),
    ["worker.teardown.early", "worker.teardown.failed", "worker.teardown.late"],
  );
  server.stop();
});

test("what is no function is refused", () => {
  const wrong = { tasks: { t: () => 1 }, lifespan: {}, taskLifespan: 3 };
  assert.throws(
    () => new Worker(wrong as never),
    (error) => {
      assert.ok(error instanceof OptionsError);
      assert.deepEqual(error.faults, [
        "option lifespan: is object; give a function",
        "option taskLifespan: is number; give a function",
      ]);
      return true;
    },
  );
  assert.throws(
    () => new Worker({ tasks: { t: () => 1 } }).use(undefined as never),
    /use\(\) takes a function/,
  );
});
