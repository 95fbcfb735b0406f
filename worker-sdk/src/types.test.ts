import assert from "node:assert/strict";
import { test } from "node:test";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { defineTask, Worker } from "./index.ts";

test("payload types come from any Standard Schema library", () => {
  const worker = new Worker({
    scheduler: "127.0.0.1:7070",
    tasks: {
      zod: {
        input: z.object({ page: z.string(), dpi: z.coerce.number() }),
        handler: async (ctx) => ctx.payload.page.length + ctx.payload.dpi,
      },
      valibot: { input: v.object({ page: v.string() }), handler: (ctx) => ctx.payload.page.toUpperCase() },
      arktype: { handler: (ctx) => ctx.payload.page.toUpperCase(), input: type({ page: "string" }) },
      untyped: {
        handler: (ctx) => {
          // @ts-expect-error -- without a schema the payload is unknown
          return ctx.payload.page;
        },
      },
      short: async (ctx) => {
        // @ts-expect-error -- without a schema the payload is unknown
        return ctx.payload.page;
      },
    },
  });
  worker.handleBatch(
    defineTask({ type: "batched", input: z.object({ page: z.string() }), output: z.number() }),
    // @ts-expect-error -- the results are numbers
    (inputs, members) => members.map((ctx) => ctx.payload.page + (inputs[0]?.page ?? "")),
    { batch: { size: 1, key: (ctx) => ctx.payload.page } },
  );
  assert.equal(worker.status, "new");
});
