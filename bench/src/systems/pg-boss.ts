import { PgBoss } from "pg-boss";
import {
  type CreateDriver,
  type Driver,
  type DriverOptions,
  inBatches,
  makePayload,
  type Payload,
} from "./driver.ts";

const QUEUE = "noop";

/** Jobs in one insert call and calls at once. */
const BATCH = 1_000;
const LANES = 4;

/**
 * pg-boss. Settings: `batch` (jobs a fetch), `loops` (fetch loops of our own at once; without it `work` with
 * its burst mode), `localConcurrency` (workers of `work`).
 */
export const createPgBoss: CreateDriver = async (options) => {
  const boss = new PgBoss({ connectionString: options.target, schedule: false });
  boss.on("error", (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  if (options.role === "producer") {
    await boss.createQueue(QUEUE);
    return producer(boss);
  }
  return options.settings.loops === undefined ? worker(boss, options) : loops(boss, options);
};

function producer(boss: PgBoss): Driver {
  return {
    submit: (count, payloadBytes) =>
      inBatches(count, BATCH, LANES, (size) =>
        boss.insert(
          QUEUE,
          Array.from({ length: size }, () => ({ data: makePayload(payloadBytes) })),
        ),
      ),
    submitOne: async (payload) => {
      await boss.send(QUEUE, payload);
    },
    resume: async () => undefined,
    pause: async () => undefined,
    close: () => boss.stop({ graceful: false }),
  };
}

function worker(boss: PgBoss, { settings, onStart }: DriverOptions): Driver {
  return {
    ...noProducer,
    resume: async () => {
      await boss.work<Payload>(
        QUEUE,
        {
          batchSize: settings.batch ?? 1,
          pollingIntervalSeconds: 0.5,
          burstWhenBatchFull: true,
          localConcurrency: settings.localConcurrency ?? 1,
        },
        async (jobs) => {
          for (const job of jobs) onStart(job.data);
        },
      );
    },
    pause: () => boss.offWork(QUEUE, { wait: true }),
    close: () => boss.stop({ graceful: false }),
  };
}

/** How long a fetch loop rests when it found nothing. */
const IDLE_MS = 5;

function loops(boss: PgBoss, { settings, onStart }: DriverOptions): Driver {
  let active: AbortController | undefined;
  let running: Promise<unknown> = Promise.resolve();
  const loop = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      const jobs = await boss.fetch<Payload>(QUEUE, { batchSize: settings.batch ?? 1 });
      for (const job of jobs) onStart(job.data);
      if (jobs.length > 0)
        await boss.complete(
          QUEUE,
          jobs.map(({ id }) => id),
        );
      else await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    }
  };
  const pause = async () => {
    active?.abort();
    await running;
  };
  return {
    ...noProducer,
    resume: async () => {
      active = new AbortController();
      const { signal } = active;
      running = Promise.all(Array.from({ length: settings.loops ?? 1 }, () => loop(signal)));
    },
    pause,
    close: async () => {
      await pause();
      await boss.stop({ graceful: false });
    },
  };
}

const noProducer = {
  submit: () => Promise.reject(new Error("a worker submits nothing")),
  submitOne: () => Promise.reject(new Error("a worker submits nothing")),
};
