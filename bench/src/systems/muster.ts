import { Worker } from "@muster/worker";
import { Client } from "@muster/worker/client";
import type { Driver, Payload } from "./driver.ts";

/** Muster through its SDK: a client; a worker with `concurrency` slots and `prefetch` attempts ahead. */
export const muster: Driver = {
  produce: async ({ target }) => {
    const client = new Client({ scheduler: target });
    return {
      bulk: { batch: 1_000, lanes: 4 },
      submitMany: async (payloads) => {
        await client.submitMany(payloads.map((payload) => ({ type: "noop", payload })));
      },
      submitOne: async (payload) => {
        await client.submit("noop", payload);
      },
      close: async () => client.close(),
    };
  },
  consume: async ({ target, settings }, onStart) => {
    const worker = new Worker({
      scheduler: target,
      concurrency: settings.concurrency ?? 100,
      prefetch: settings.prefetch ?? 0,
      tasks: {
        noop: (ctx) => {
          onStart(ctx.payload as Payload);
        },
      },
    });
    await worker.start();
    worker.pause("bench");
    return {
      resume: async () => worker.resume(),
      pause: async () => worker.pause("bench"),
      close: () => worker.stop(),
    };
  },
};
