/** Drives BullMQ on Redis. */
import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import type { Driver, Payload } from "./driver.ts";

const QUEUE = "noop";

/** BullMQ on Redis. Setting: `concurrency` of the worker. Ended jobs are kept, as by default and as Muster does. */
export const bullmq: Driver = {
  produce: async ({ target }) => {
    const connection = await connect(target);
    const queue = new Queue(QUEUE, { connection });
    return {
      bulk: { batch: 1_000, lanes: 4 },
      submitMany: async (payloads) => {
        await queue.addBulk(payloads.map((payload) => ({ name: "noop", data: payload })));
      },
      submitOne: async (payload) => {
        await queue.add("noop", payload);
      },
      close: async () => {
        await queue.close();
        connection.disconnect();
      },
    };
  },
  consume: async ({ target, settings }, onStart) => {
    const connection = await connect(target);
    const worker = new Worker<Payload>(QUEUE, async ({ data }) => onStart(data), {
      connection,
      concurrency: settings.concurrency ?? 1,
      autorun: false,
    });
    worker.on("error", (error) => process.stderr.write(`bullmq: ${error.message}\n`));
    await worker.waitUntilReady();
    let started = false;
    return {
      resume: async () => {
        if (started) worker.resume();
        // It runs until the worker is closed; its failures come as error events.
        else void worker.run();
        started = true;
      },
      pause: () => worker.pause(),
      close: async () => {
        await worker.close();
        connection.disconnect();
      },
    };
  },
};

async function connect(url: string): Promise<Redis> {
  const connection = new Redis(url, { maxRetriesPerRequest: null });
  await connection.ping();
  return connection;
}
