import assert from "node:assert/strict";
import { test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import type { Client, SubmitOptions } from "../client/index.ts";
import { Worker } from "../index.ts";
import { defineTask } from "./index.ts";

const resize = defineTask({
  type: "image.resize",
  input: z.object({ url: z.string(), width: z.coerce.number<string>() }),
  output: z.object({ bytes: z.number(), at: z.string().transform((text) => new Date(text)) }),
  errors: {
    NOT_AN_IMAGE: z.object({ contentType: z.string() }),
    BUSY: { details: z.object({ queued: z.number() }), retryable: true },
    GONE: {},
  },
  queue: "images",
  retry: { maxRetries: 5 },
  unique: ({ url, width }) => ({ key: `${width.toFixed()}:${url.trim()}` }),
  concurrency: ({ url }) => [{ key: url, limit: 1 }],
  timeouts: { runS: 60 },
});

/** Never called: it has to compile, and what is marked must not. */
async function callers(client: Client): Promise<void> {
  const result = await resize.run(client, { url: "a", width: "3" }, { timeoutS: 5, priority: 3 });
  result.at.getTime();
  result.bytes.toFixed();
  // @ts-expect-error -- the result has no such field
  result.size;
  // @ts-expect-error -- the schema takes the width as a text
  await resize.run(client, { url: "a", width: 3 });
  // @ts-expect-error -- the input is required
  await resize.run(client);
  // @ts-expect-error -- a field is missing
  await client.submit(resize, { url: "a" });
  // @ts-expect-error -- not an option of a submit
  await client.submit(resize, { url: "a", width: "3" }, { prio: 3 });
  const handle = await client.submit(resize, { url: "a", width: "3" }, { priority: 1 });
  (await handle.result()).at.getTime();
  const many = await client.submitMany(resize, [{ url: "a", width: "3" }], { queue: "nightly" });
  (await many[0]?.result())?.bytes.toFixed();
  // @ts-expect-error -- the second input does not fit
  await client.submitMany(resize, [{ url: "a", width: "3" }, { url: "b" }]);
  (await client.handle("t-1", resize).result()).bytes.toFixed();
  const untyped = await client.submit<{ text: string }>("greet", { name: "Ada" });
  (await untyped.result()).text.trim();
}

function failures(error: unknown): string {
  if (resize.isError(error, "NOT_AN_IMAGE")) {
    // @ts-expect-error -- the details have no such field
    error.details.queued;
    return error.details.contentType;
  }
  // @ts-expect-error -- no such code
  if (resize.isError(error, "NOT_A_CODE")) return "";
  if (!resize.isError(error)) return "";
  switch (error.code) {
    case "NOT_AN_IMAGE":
      return error.details.contentType;
    case "BUSY":
      return error.details.queued.toFixed();
    case "GONE":
      return String(error.details satisfies undefined);
    default:
      return error satisfies never;
  }
}

function handlers(worker: Worker): void {
  worker.handle(resize, async ({ url, width }, ctx) => {
    ctx.payload.width.toFixed();
    // @ts-expect-error -- the code is not declared
    if (url === "") throw resize.error("NOT_A_CODE");
    // @ts-expect-error -- the details are missing
    if (url === "a") throw resize.error("NOT_AN_IMAGE");
    // @ts-expect-error -- the details do not fit
    if (url === "b") throw resize.error("BUSY", { queued: "3" });
    if (url === "c") throw resize.error("GONE", undefined, { message: "the image is gone" });
    if (url === "d") throw resize.error("GONE");
    return { bytes: width * 3, at: "2026-01-01T00:00:00Z" };
  });
  // @ts-expect-error -- the result lacks a field
  worker.handle(resize, async () => ({ bytes: 1 }));
  // @ts-expect-error -- the handler gets the input as the schema returns it
  worker.handle(resize, async (input: { url: string; width: string }) => ({ bytes: 1, at: input.width }));
  // @ts-expect-error -- an entry of the option tasks has no type
  worker.handle(defineTask({ handler: () => 1 }), () => 1);
}

function definitions(): void {
  // @ts-expect-error -- the input has no such field
  defineTask({ type: "t", input: z.object({ a: z.string() }), unique: ({ b }) => ({ key: b }) });
  // @ts-expect-error -- a priority is a number
  defineTask({ type: "t", priority: "high" });
  // @ts-expect-error -- not an option of a submit
  defineTask({ type: "t", prioritie: 3 });
  // @ts-expect-error -- the handler of a definition with a type is given to worker.handle
  defineTask({ type: "t", handler: () => 1 });
  // Every option of a submit is accepted.
  const options: Required<SubmitOptions> = undefined as never;
  defineTask({ type: "t", ...options });
}

test("definitions of every Standard Schema library type their handlers and callers", () => {
  const worker = new Worker({ scheduler: "127.0.0.1:7070" });
  worker
    .handle(resize, () => ({ bytes: 1, at: "2026-01-01T00:00:00Z" }))
    .handle(defineTask({ type: "valibot", input: v.object({ page: v.string() }) }), ({ page }) => page.trim())
    .handle(defineTask({ type: "arktype", input: type({ page: "string" }) }), ({ page }) => page.trim())
    .handle(defineTask({ type: "untyped" }), (input) => {
      // @ts-expect-error -- without a schema the input is unknown
      return input.page;
    });
  assert.equal(worker.status, "new");
  for (const compiled of [callers, failures, handlers, definitions])
    assert.equal(typeof compiled, "function");
});
