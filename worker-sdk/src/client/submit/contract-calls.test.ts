import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { TaskSchema, TaskState } from "@muster/protocol";
import { z } from "zod";
import { defineTask } from "../../contract/define-task.ts";
import { InvalidPayloadError, InvalidResultError, TaskFailedError } from "../index.ts";
import { resultOf, specsOf } from "./contract-calls.ts";
import type { SubmitOptions } from "./submit-spec.ts";
import { encodeTaskSpec } from "./task-spec.ts";

const resize = defineTask({
  type: "image.resize",
  input: z.object({
    url: z.string(),
    width: z.coerce.number<string>().max(100),
    tag: z.string().default("none"),
  }),
  output: z.object({ at: z.string().transform((text) => new Date(text)) }),
  errors: { NOT_AN_IMAGE: z.object({ page: z.coerce.number<string>() }), GONE: {} },
  queue: "images",
  retry: { maxRetries: 5 },
  uniqueKey: ({ url, width, tag }) => `${tag}:${width + 1}:${url}`,
  delayS: () => undefined,
});

const INPUT = { url: "a", width: "3" };

async function specOf(options: SubmitOptions) {
  const [spec] = await specsOf(resize, [INPUT], options);
  assert.ok(spec);
  return spec;
}

test("an input is sent unchanged; defaults are values or made of the parsed input", async () => {
  const { payload, ...rest } = await specOf({});
  assert.ok(payload instanceof Uint8Array);
  assert.equal(Buffer.from(payload).toString(), JSON.stringify(INPUT));
  assert.deepEqual(rest, {
    type: "image.resize",
    contentType: "application/json",
    queue: "images",
    retry: { maxRetries: 5 },
    uniqueKey: "none:4:a",
  });
});

test("an option of a submit replaces the default as a whole, and the default that it excludes", async () => {
  const { retry, queue } = await specOf({ retry: { delaysS: [1] }, queue: "nightly" });
  assert.deepEqual([retry, queue], [{ delaysS: [1] }, "nightly"]);
  const unique = await specOf({ unique: { key: "own", while: "queued" } });
  assert.equal(encodeTaskSpec(unique).uniqueKey, "own");
  const undefinedOption = { queue: undefined } as unknown as SubmitOptions;
  assert.equal((await specOf(undefinedOption)).queue, "images", "an option that is undefined is not given");
});

test("inputs that do not fit are refused with their paths, before anything is sent", async () => {
  await assert.rejects(specsOf(resize, [{ url: 3, width: "900" }], {}), (error) => {
    assert.ok(error instanceof InvalidPayloadError);
    assert.deepEqual(
      error.issues.map(({ path }) => path),
      ["url", "width"],
    );
    assert.match(error.message, /^Task image\.resize: the input does not fit its schema: url: /);
    return true;
  });
  await assert.rejects(specsOf(resize, [INPUT, null, { url: "b" }], {}), (error) => {
    assert.ok(error instanceof InvalidPayloadError);
    assert.deepEqual(
      error.issues.map(({ path }) => path),
      ["[1]", "[2].width"],
    );
    return true;
  });
  const dated = defineTask({ type: "dated", input: z.object({ at: z.date() }) });
  await assert.rejects(
    specsOf(dated, [{ at: new Date(0) }], {}),
    /at: .*; it would fit, but is sent as JSON, in which a Date is a text: let the schema accept that form$/,
  );
  await assert.rejects(
    specsOf(defineTask({ type: "t" }), [new Map()], {}),
    /Task t: the payload is or has a Map/,
  );
});

test("bytes are checked as bytes and sent as they are", async () => {
  const task = defineTask({ type: "bytes", input: z.instanceof(Uint8Array) });
  const bytes = new Uint8Array([1, 2]);
  const [spec] = await specsOf(task, [bytes], {});
  assert.deepEqual(spec, { type: "bytes", payload: bytes });
});

test("mistakes of definitions and calls have sentences", async () => {
  const throwing = defineTask({
    type: "t",
    queue: () => {
      throw new Error("no queue");
    },
  });
  await assert.rejects(
    specsOf(throwing, [1], {}),
    /^TypeError: Task t: the definition's function for queue threw: no queue$/,
  );
  const late = defineTask({ type: "t", queue: (async () => "q") as never });
  await assert.rejects(
    specsOf(late, [1], {}),
    /function for queue returned a promise; it has to return the option/,
  );
  const broken = defineTask({
    type: "t",
    input: z.string().transform(() => {
      throw new Error("broken");
    }),
  });
  await assert.rejects(specsOf(broken, ["a"], {}), /the schema itself threw: broken/);
  await assert.rejects(
    specsOf({ handler: () => 1 } as never, [1], {}),
    /A submit takes a task type, or a definition/,
  );
  await assert.rejects(specsOf(undefined as never, [1], {}), /A submit takes a task type, or a definition/);
  await assert.rejects(
    specsOf(resize, "all" as never, {}),
    /submitMany\(task, inputs\) takes a list of inputs, not string/,
  );
});

function ended(output: unknown) {
  return create(TaskSchema, {
    id: "t-1",
    taskType: "image.resize",
    state: TaskState.SUCCEEDED,
    output: Buffer.from(JSON.stringify(output)),
    outputContentType: "application/json",
  });
}

test("a result is what the schema returns, or is refused", async () => {
  assert.deepEqual(await resultOf(resize, ended({ at: "2026-01-01T00:00:00Z" })), {
    at: new Date("2026-01-01T00:00:00Z"),
  });
  await assert.rejects(resultOf(resize, ended({ at: 3 })), (error) => {
    assert.ok(error instanceof InvalidResultError);
    assert.equal(error.taskId, "t-1");
    assert.match(
      error.message,
      /^Task t-1 \(image\.resize\) succeeded with a result that does not fit .*: at: /,
    );
    return true;
  });
  assert.equal(await resultOf(defineTask({ type: "t" }), ended(7)), 7);
});

test("declared failures come with parsed details; others are not of the definition", async () => {
  const failing = (code: string, details: string) =>
    resultOf(
      resize,
      create(TaskSchema, {
        id: "t-1",
        taskType: "image.resize",
        state: TaskState.FAILED,
        failure: { code, message: "no", details },
      }),
    ).then(
      () => assert.fail("it succeeded"),
      (error: unknown) => {
        assert.ok(error instanceof TaskFailedError);
        return error;
      },
    );
  const declared = await failing("NOT_AN_IMAGE", '{"page":"3"}');
  assert.ok(resize.isError(declared, "NOT_AN_IMAGE"));
  assert.deepEqual(declared.details, { page: 3 });
  assert.equal(resize.isError(declared, "GONE"), false);
  assert.equal(defineTask({ type: "other", errors: { NOT_AN_IMAGE: {} } }).isError(declared), false);
  const gone = await failing("GONE", "");
  assert.ok(resize.isError(gone, "GONE"));
  const skewed = await failing("NOT_AN_IMAGE", '{"page":{}}');
  assert.equal(resize.isError(skewed), false, "details of another version have no known type");
  assert.deepEqual(skewed.details, { page: {} });
  const foreign = await failing("ENOSPC", "");
  assert.equal(resize.isError(foreign), false);
  assert.equal((await failing("ENOSPC", "{")).details, "{");
});
