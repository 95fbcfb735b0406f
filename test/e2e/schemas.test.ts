import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { defineTask, Worker } from "@muster/worker";
import { Client, TaskFailedError } from "@muster/worker/client";
import { type } from "arktype";
import * as v from "valibot";
import { z } from "zod";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";

/** Each library's schema gives the handler its types: `n` is a number in all three, or this does not compile. */
const tasks = {
  zod: defineTask({ input: z.object({ n: z.number() }), handler: (ctx) => ctx.payload.n + 1 }),
  valibot: defineTask({ input: v.object({ n: v.number() }), handler: (ctx) => ctx.payload.n + 1 }),
  arktype: defineTask({ input: type({ n: "number" }), handler: (ctx) => ctx.payload.n + 1 }),
};

describe("schemas of three libraries", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let client: Client;
  let worker: Worker<unknown>;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    client = new Client({ scheduler: scheduler.grpc });
    worker = new Worker({
      scheduler: scheduler.grpc,
      tasks: {
        ...tasks,
        output: defineTask({ output: z.object({ ok: z.boolean() }), handler: () => ({ ok: "no" }) }),
      },
    });
    await worker.start();
  });

  after(async () => {
    await worker.stop();
    client.close();
    await killAll();
    await db.drop();
  });

  for (const library of Object.keys(tasks)) {
    it(`${library} checks and types the payload`, async () => {
      assert.equal(await (await client.submit(library, { n: 1 })).result(), 2);
      const refused = await client.submit(library, { n: "one" });
      await assert.rejects(refused.result(), (error: unknown) => {
        assert.ok(error instanceof TaskFailedError);
        assert.equal(error.code, "INVALID_PAYLOAD");
        return true;
      });
      assert.equal((await refused.get()).attemptCount, 1, "a bad payload is not tried again");
    });
  }

  it("checks the result", async () => {
    const handle = await client.submit("output");
    await assert.rejects(
      handle.result(),
      (error: unknown) => error instanceof TaskFailedError && error.code === "INVALID_RESULT",
    );
  });
});
