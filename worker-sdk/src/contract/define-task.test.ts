import assert from "node:assert/strict";
import { test } from "node:test";
import { z } from "zod";
import { Worker } from "../index.ts";
import { defineTask, OptionsError, type TaskContract } from "./index.ts";

/** What a program without types may call. */
const anyDefineTask = defineTask as unknown as (definition: unknown) => TaskContract;

function faultsOf(call: () => unknown): readonly string[] {
  try {
    call();
  } catch (error) {
    assert.ok(error instanceof OptionsError, String(error));
    return error.faults;
  }
  assert.fail("nothing was thrown");
}

test("a definition without a type is the typed entry of the option tasks, unchanged", () => {
  const entry = { handler: () => 1 };
  assert.equal(defineTask(entry), entry);
});

test("every fault of a definition is reported at once", () => {
  const definition = {
    type: "bad type",
    input: {},
    output: "text",
    errors: { "not a code": {}, BUSY: { retryable: "yes", details: 3 }, LATE: { retryAfterS: 5 }, ODD: 3 },
    handler: () => 1,
    payload: {},
    retry: { maxRetries: -1 },
    priority: 1.5,
  };
  const expected = [
    /^option type: "bad type" must start with a letter or digit/,
    /^option input: is not a Standard Schema/,
    /^option output: is not a Standard Schema/,
    /^option handler: a definition with a type has no handler; give it to worker\.handle/,
    /^option errors\.not a code: the code must match/,
    /^option errors\.BUSY\.details: is not a Standard Schema/,
    /^option errors\.BUSY\.retryable: yes is not a boolean/,
    /^option errors\.LATE\.retryAfterS: needs retryable: true/,
    /^option errors\.ODD: is number; give a Standard Schema/,
    /^option payload: belongs to a submit/,
    /^option priority: 1\.5 is not an integer/,
    /^option retry\.maxRetries: -1 is not an integer/,
  ];
  const faults = faultsOf(() => anyDefineTask(definition));
  assert.equal(faults.length, expected.length, faults.join("\n"));
  for (const [index, pattern] of expected.entries()) assert.match(faults[index] ?? "", pattern);
});

test("an empty or missing type, a number of slots and a definition that is nothing are refused", () => {
  for (const definition of [{ type: "" }, { type: undefined }, {}, undefined, null, "resize"])
    assert.match(faultsOf(() => anyDefineTask(definition))[0] ?? "", /^option type: /);
  assert.match(
    faultsOf(() => anyDefineTask({ type: "t", concurrency: 4 }))[0] ?? "",
    /^option concurrency: 4 is not a list of concurrency keys; .* worker\.handle\(task, handler, \{ concurrency \}\)$/,
  );
});

test("a handler is refused when its type has one, is among the tasks, or an argument is not valid", () => {
  const task = defineTask({ type: "one" });
  const worker = new Worker({ tasks: { two: () => 2 } }).handle(task, () => 1);
  assert.deepEqual(
    faultsOf(() => worker.handle(task, () => 3)),
    ["task one: has a handler already; each type has one"],
  );
  assert.deepEqual(
    faultsOf(() => worker.handle(defineTask({ type: "two" }), () => 3)),
    ["task two: is in the option tasks, too; each type has one handler: remove one of them"],
  );
  const three = defineTask({ type: "three" });
  assert.deepEqual(
    faultsOf(() => worker.handle(three, undefined as never)),
    ["task three: the handler is undefined; give a function"],
  );
  assert.match(
    faultsOf(() => worker.handle("three" as never, () => 3))[0] ?? "",
    /is not a definition with a type/,
  );
  assert.match(faultsOf(() => worker.handle(undefined as never, () => 3))[0] ?? "", /is not a definition/);
  assert.match(
    faultsOf(() => worker.handle(three, () => 3, { concurrency: 0 }))[0] ?? "",
    /0 is not an integer/,
  );
  assert.match(
    faultsOf(() => new Worker({ tasks: { three: three as never } }))[0] ?? "",
    /^option tasks\["three"\]: is a definition with a type: call worker\.handle\(task, handler\) for it$/,
  );
});

test("a worker without a task type does not start", async () => {
  const worker = new Worker();
  await assert.rejects(worker.start(), /option tasks: is missing and handle\(\) was not called/);
  await assert.rejects(worker.run(), /option tasks: is missing and handle\(\) was not called/);
  await worker.stop();
});

test("declared errors are of the class that decides about the retry", () => {
  const task = defineTask({
    type: "page",
    errors: {
      BLANK: z.object({ page: z.number() }),
      BUSY: { retryable: true, retryAfterS: 30 },
      LATE: { details: { "~standard": { version: 1, vendor: "t", validate: async () => ({ value: 1 }) } } },
    },
  });
  const blank = task.error("BLANK", { page: 3 });
  assert.deepEqual(
    [blank.name, blank.code, blank.message, blank.details],
    ["NonRetryableError", "BLANK", "page failed with BLANK", { page: 3 }],
  );
  const cause = new Error("root");
  const busy = task.error("BUSY", undefined, { message: "busy", retryAfterS: 5, cause });
  assert.deepEqual(
    [busy.name, busy.code, busy.message, busy.cause],
    ["RetryableError", "BUSY", "busy", cause],
  );
  assert.equal("retryAfterS" in busy && busy.retryAfterS, 5);
  const again = task.error("BUSY");
  assert.equal("retryAfterS" in again && again.retryAfterS, 30);
  for (const [code, details] of [
    ["BLANK", { page: "3" }],
    ["BLANK", undefined],
    ["LATE", 1],
  ] as const)
    assert.throws(() => task.error(code, details as never), {
      name: "NonRetryableError",
      code: "INVALID_ERROR_DETAILS",
    });
  assert.throws(
    () => task.error("NO" as never, undefined as never),
    /Task page: "NO" is not a declared error; declared are: BLANK, BUSY, LATE\./,
  );
  assert.equal(task.isError(blank), false, "an error of a handler is not a failure that a caller got");
  assert.equal(task.isError(undefined), false);
});
