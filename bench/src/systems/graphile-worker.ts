import { Logger, makeWorkerUtils, runTaskList, type WorkerPool } from "graphile-worker";
import pg from "pg";
import {
  type CreateDriver,
  type Driver,
  type DriverOptions,
  inBatches,
  makePayload,
  type Payload,
} from "./driver.ts";

/** Jobs in one addJobs call and calls at once. */
const BATCH = 1_000;
const LANES = 4;

/** Its log of every job would cost it throughput; it has the same switch for its own benchmark. */
const silent = new Logger(() => () => undefined);

/**
 * graphile-worker as its own `perfTest` runs it. Settings: `concurrency` (default 1), `localQueue` (default
 * none, with its perfTest's refetch delay of 10 ms), `batchDelay` (default none: each completion by itself).
 */
export const createGraphileWorker: CreateDriver = async (options) => {
  const concurrency = options.settings.concurrency ?? 1;
  const pool = new pg.Pool({ connectionString: options.target, max: concurrency + 2 });
  // graphile-worker takes connections apart itself; without listeners their errors would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return options.role === "producer" ? producer(pool) : worker(pool, concurrency, options);
};

async function producer(pool: pg.Pool): Promise<Driver> {
  const utils = await makeWorkerUtils({ pgPool: pool, logger: silent });
  await utils.migrate();
  return {
    submit: (count, payloadBytes) =>
      inBatches(count, BATCH, LANES, (size) =>
        utils.addJobs(
          Array.from({ length: size }, () => ({ identifier: "noop", payload: makePayload(payloadBytes) })),
        ),
      ),
    submitOne: async (payload) => {
      await utils.addJob("noop", payload);
    },
    resume: async () => undefined,
    pause: async () => undefined,
    close: async () => {
      await utils.release();
      await pool.end();
    },
  };
}

function worker(pool: pg.Pool, concurrency: number, { settings, onStart }: DriverOptions): Driver {
  const { localQueue, batchDelay } = settings;
  let workers: WorkerPool | undefined;
  const pause = async () => {
    await workers?.gracefulShutdown();
    workers = undefined;
  };
  return {
    submit: () => Promise.reject(new Error("a worker submits nothing")),
    submitOne: () => Promise.reject(new Error("a worker submits nothing")),
    resume: async () => {
      workers = runTaskList(
        {
          concurrency,
          noHandleSignals: true,
          logger: silent,
          preset: {
            worker: {
              ...(localQueue === undefined
                ? {}
                : { localQueue: { size: localQueue, refetchDelay: { durationMs: 10 } } }),
              ...(batchDelay === undefined
                ? {}
                : { completeJobBatchDelay: batchDelay, failJobBatchDelay: batchDelay }),
            },
          },
        },
        {
          noop: (payload) => {
            onStart(payload as Payload);
          },
        },
        pool,
      );
    },
    pause,
    close: async () => {
      await pause();
      await pool.end();
    },
  };
}
