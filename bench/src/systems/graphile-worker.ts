/** Drives graphile-worker. */
import { Logger, makeWorkerUtils, runTaskList, type WorkerPool } from "graphile-worker";
import pg from "pg";
import type { Driver, Payload } from "./driver.ts";

/** Its log of every job would cost it throughput; its own benchmark switches that off as well. */
const silent = new Logger(() => () => undefined);

/**
 * graphile-worker as its own `perfTest` runs it. Settings: `concurrency` (default 1), `localQueue` (default
 * none; with perfTest's refetch delay of 10 ms), `batchDelay` (default none: each completion by itself).
 */
export const graphileWorker: Driver = {
  produce: async ({ target }) => {
    const pool = openPool(target, 10);
    const utils = await makeWorkerUtils({ pgPool: pool, logger: silent });
    await utils.migrate();
    return {
      bulk: { batch: 1_000, lanes: 4 },
      submitMany: async (payloads) => {
        await utils.addJobs(payloads.map((payload) => ({ identifier: "noop", payload })));
      },
      submitOne: async (payload) => {
        await utils.addJob("noop", payload);
      },
      close: async () => {
        await utils.release();
        await pool.end();
      },
    };
  },
  consume: async ({ target, settings }, onStart) => {
    const { concurrency = 1, localQueue, batchDelay } = settings;
    const pool = openPool(target, concurrency + 2);
    const preset = {
      worker: {
        ...(localQueue === undefined
          ? {}
          : { localQueue: { size: localQueue, refetchDelay: { durationMs: 10 } } }),
        ...(batchDelay === undefined
          ? {}
          : { completeJobBatchDelay: batchDelay, failJobBatchDelay: batchDelay }),
      },
    };
    const tasks = { noop: (payload: unknown) => onStart(payload as Payload) };
    let workers: WorkerPool | undefined;
    const pause = async () => {
      await workers?.gracefulShutdown();
      workers = undefined;
    };
    return {
      resume: async () => {
        workers = runTaskList({ concurrency, noHandleSignals: true, logger: silent, preset }, tasks, pool);
      },
      pause,
      close: async () => {
        await pause();
        await pool.end();
      },
    };
  },
};

function openPool(connectionString: string, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString, max });
  // graphile-worker watches its connections itself; without these listeners their errors would end the process.
  pool.on("error", () => undefined);
  pool.on("connect", (client) => client.on("error", () => undefined));
  return pool;
}
