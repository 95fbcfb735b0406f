/** Drives Muster through its SDK. */
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
    // The worker stays connected, as it would be; its queue is held.
    const client = new Client({ scheduler: target });
    const pause = async () => {
      await client.fleet.pauseQueue({ queue: "default", reason: "bench" });
    };
    await pause();
    return {
      resume: async () => {
        await client.fleet.resumeQueue({ queue: "default" });
      },
      pause,
      close: async () => {
        client.close();
        await worker.stop();
      },
    };
  },
};
