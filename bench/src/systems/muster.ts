import { Worker } from "@muster/worker";
import { Client } from "@muster/worker/client";
import {
  type CreateDriver,
  type Driver,
  type DriverOptions,
  inBatches,
  makePayload,
  type Payload,
} from "./driver.ts";

/** Tasks in one SubmitTasks call and calls at once. */
const BATCH = 1_000;
const LANES = 4;

/** Muster through its SDK: a client, or a worker with `concurrency` slots and `prefetch` attempts ahead. */
export const createMuster: CreateDriver = async (options) =>
  options.role === "producer" ? producer(options) : worker(options);

function producer({ target }: DriverOptions): Driver {
  const client = new Client({ scheduler: target });
  return {
    submit: (count, payloadBytes) =>
      inBatches(count, BATCH, LANES, (size) =>
        client.submitMany(
          Array.from({ length: size }, () => ({ type: "noop", payload: makePayload(payloadBytes) })),
        ),
      ),
    submitOne: async (payload) => {
      await client.submit("noop", payload);
    },
    resume: async () => undefined,
    pause: async () => undefined,
    close: async () => client.close(),
  };
}

async function worker({ target, settings, onStart }: DriverOptions): Promise<Driver> {
  const running = new Worker({
    scheduler: target,
    concurrency: settings.concurrency ?? 100,
    prefetch: settings.prefetch ?? 0,
    tasks: {
      noop: (ctx) => {
        onStart(ctx.payload as Payload);
      },
    },
  });
  await running.start();
  running.pause("bench");
  return {
    submit: () => Promise.reject(new Error("a worker submits nothing")),
    submitOne: () => Promise.reject(new Error("a worker submits nothing")),
    resume: async () => running.resume(),
    pause: async () => running.pause("bench"),
    close: () => running.stop(),
  };
}
