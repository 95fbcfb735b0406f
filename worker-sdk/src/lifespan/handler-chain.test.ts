import assert from "node:assert/strict";
import { test } from "node:test";
import type { AnyHandler } from "../options/task-types/task-definition.ts";
import { chainOf } from "./handler-chain.ts";
import type { Middleware, TaskLifespan } from "./lifespan.ts";

/** Runs a chain on a context that keeps the events that are logged. */
function run(
  handler: AnyHandler,
  middleware: readonly Middleware[],
  taskLifespan?: TaskLifespan<unknown, unknown>,
) {
  const events: unknown[] = [];
  const log = (fields: { event: string; code: string }) => events.push([fields.event, fields.code]);
  const ctx = { taskServices: undefined, ownLog: { warn: log, error: log } };
  const result = (async () => chainOf(handler, middleware, taskLifespan)(ctx as never))();
  return { result, events };
}

const named = (name: string) => Object.assign(new Error(name), { code: name });

test("without middleware and lifespan the handler itself runs", () => {
  const handler = () => 1;
  assert.equal(chainOf(handler, [], undefined), handler);
});

test("middleware runs in its order around the set-up of the task, and back", async () => {
  const steps: string[] = [];
  const step =
    (name: string): Middleware =>
    async (_, next) => {
      steps.push(`${name} in`);
      await next();
      steps.push(`${name} out`);
    };
  const { result } = run(
    (ctx: { taskServices: string }) => {
      steps.push(`handler with ${ctx.taskServices}`);
      return 7;
    },
    [step("a"), step("b")],
    (_, { defer }) => {
      defer(() => steps.push("first down"));
      defer(() => steps.push("second down"));
      return "services";
    },
  );
  assert.equal(await result, 7, "a middleware that returns nothing leaves the result");
  assert.deepEqual(steps, [
    ...["a in", "b in", "handler with services", "second down", "first down", "b out", "a out"],
  ]);
});

test("a middleware replaces a result or a failure only by a value or an error, and that is logged", async () => {
  const failing = () => {
    throw named("HANDLER");
  };
  const cases: [Middleware, unknown, string[]][] = [
    [async (_, next) => `${String(await next().catch((error) => error.code))}!`, "HANDLER!", ["HANDLER"]],
    [(_, next) => next().then(undefined, () => undefined), "throws HANDLER", []],
    [(_, next) => void next(), "throws HANDLER", []],
    [(_, next) => next(), "throws HANDLER", []],
    [
      async (_, next) => {
        await next().catch(() => {});
        throw named("OTHER");
      },
      "throws OTHER",
      ["HANDLER"],
    ],
    [() => "skipped", "skipped", []],
    [() => undefined, undefined, []],
    [
      () => {
        throw named("AUTH");
      },
      "throws AUTH",
      [],
    ],
  ];
  for (const [index, [middleware, expected, logged]] of cases.entries()) {
    const { result, events } = run(failing, [middleware]);
    const ended = await result.catch((error) => `throws ${error.code}`);
    assert.equal(ended, expected, `case ${index}`);
    assert.deepEqual(
      events,
      logged.map((code) => ["task.failure.replaced", code]),
      `case ${index}`,
    );
  }
  assert.equal(await run(() => 1, [async (_, next) => Number(await next()) + 1]).result, 2);
});

test("a middleware that returns early does not end the attempt; one that calls next() twice fails it", async () => {
  const gate = Promise.withResolvers<number>();
  const { result } = run(() => gate.promise, [(_, next) => void next()]);
  let ended = false;
  void result.then(() => {
    ended = true;
  });
  await new Promise(setImmediate);
  assert.equal(ended, false);
  gate.resolve(3);
  assert.equal(await result, 3);
  let runs = 0;
  const twice = run(() => ++runs, [(_, next) => Promise.allSettled([next(), next()]).then(() => "fine")]);
  await assert.rejects(twice.result, /A middleware called next\(\) twice; the handler runs once/);
  assert.equal(runs, 1);
});

test("what a task's set-up deferred is torn down after a failure, too; a failing step fails a success alone", async () => {
  const down: string[] = [];
  const setUp: TaskLifespan<unknown, unknown> = (_, { defer }) => {
    defer(() => down.push("deferred"));
    defer(() => {
      throw named("DOWN");
    });
    return {
      [Symbol.asyncDispose]: async () => {
        down.push("disposed");
      },
    };
  };
  const succeeded = run(() => 1, [], setUp);
  await assert.rejects(succeeded.result, { code: "DOWN" });
  assert.deepEqual(down.splice(0), ["disposed", "deferred"]);
  assert.deepEqual(succeeded.events, [["task.teardown.failed", "DOWN"]]);
  const failed = run(
    () => {
      throw named("HANDLER");
    },
    [],
    setUp,
  );
  await assert.rejects(failed.result, { code: "HANDLER" });
  assert.deepEqual(down.splice(0), ["disposed", "deferred"]);
  const half = run(
    () => assert.fail("the handler ran"),
    [],
    (_, { defer }) => {
      defer(() => down.push("half"));
      throw named("SETUP");
    },
  );
  await assert.rejects(half.result, { code: "SETUP" });
  assert.deepEqual(down, ["half"]);
});
