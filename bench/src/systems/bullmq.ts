import { Queue, Worker } from "bullmq";
import { Redis } from "ioredis";
import {
  type CreateDriver,
  type Driver,
  type DriverOptions,
  inBatches,
  makePayload,
  type Payload,
} from "./driver.ts";

const QUEUE = "noop";

/** Jobs in one addBulk call and calls at once. */
const BATCH = 1_000;
const LANES = 4;

/** BullMQ on Redis. Setting: `concurrency` of the worker. Ended jobs are kept, as by default and as Muster does. */
export const createBullmq: CreateDriver = async (options) => {
  const connection = new Redis(options.target, { maxRetriesPerRequest: null });
  await connection.ping();
  return options.role === "producer" ? producer(connection) : worker(connection, options);
};

function producer(connection: Redis): Driver {
  const queue = new Queue(QUEUE, { connection });
  return {
    submit: (count, payloadBytes) =>
      inBatches(count, BATCH, LANES, (size) =>
        queue.addBulk(
          Array.from({ length: size }, () => ({ name: "noop", data: makePayload(payloadBytes) })),
        ),
      ),
    submitOne: async (payload) => {
      await queue.add("noop", payload);
    },
    resume: async () => undefined,
    pause: async () => undefined,
    close: async () => {
      await queue.close();
      connection.disconnect();
    },
  };
}

async function worker(connection: Redis, { settings, onStart }: DriverOptions): Promise<Driver> {
  const running = new Worker<Payload>(
    QUEUE,
    async (job) => {
      onStart(job.data);
    },
    { connection, concurrency: settings.concurrency ?? 1, autorun: false },
  );
  running.on("error", (error) => process.stderr.write(`bullmq: ${error.message}\n`));
  await running.waitUntilReady();
  let started = false;
  return {
    submit: () => Promise.reject(new Error("a worker submits nothing")),
    submitOne: () => Promise.reject(new Error("a worker submits nothing")),
    resume: async () => {
      if (started) running.resume();
      else void running.run();
      started = true;
    },
    pause: () => running.pause(),
    close: async () => {
      await running.close();
      connection.disconnect();
    },
  };
}
