/** Drives pg-boss. */
import { setTimeout as delay } from "node:timers/promises";
import { PgBoss } from "pg-boss";
import type { Consumer, Driver, Payload } from "./driver.ts";

const QUEUE = "noop";

/** How long a fetch loop rests when it found nothing. */
const IDLE_MS = 5;

/**
 * pg-boss. Settings: `batch` (jobs a fetch), `localConcurrency` (workers of `work`, in its burst mode), `loops`
 * (instead of `work`: as many loops of `fetch` and `complete`).
 */
export const pgBoss: Driver = {
  produce: async ({ target }) => {
    const boss = await start(target);
    await boss.createQueue(QUEUE);
    return {
      bulk: { batch: 1_000, lanes: 4 },
      submitMany: async (payloads) => {
        await boss.insert(
          QUEUE,
          payloads.map((payload) => ({ data: payload })),
        );
      },
      submitOne: async (payload) => {
        await boss.send(QUEUE, payload);
      },
      close: () => boss.stop({ graceful: false }),
    };
  },
  consume: async ({ target, settings }, onStart) => {
    const boss = await start(target);
    return settings.loops === undefined
      ? byWork(boss, settings, onStart)
      : byFetch(boss, settings, settings.loops, onStart);
  },
};

async function start(connectionString: string): Promise<PgBoss> {
  const boss = new PgBoss({ connectionString, schedule: false });
  boss.on("error", (error) => process.stderr.write(`pg-boss: ${error.message}\n`));
  await boss.start();
  return boss;
}

type Settings = Readonly<Record<string, number>>;

function byWork(boss: PgBoss, settings: Settings, onStart: (payload: Payload) => void): Consumer {
  const options = {
    batchSize: settings.batch ?? 1,
    pollingIntervalSeconds: 0.5,
    burstWhenBatchFull: true,
    localConcurrency: settings.localConcurrency ?? 1,
  };
  return {
    resume: async () => {
      await boss.work<Payload>(QUEUE, options, async (jobs) => {
        for (const { data } of jobs) onStart(data);
      });
    },
    pause: () => boss.offWork(QUEUE, { wait: true }),
    close: () => boss.stop({ graceful: false }),
  };
}

function byFetch(
  boss: PgBoss,
  settings: Settings,
  loops: number,
  onStart: (payload: Payload) => void,
): Consumer {
  const batchSize = settings.batch ?? 1;
  let active = new AbortController();
  let running: Promise<unknown> = Promise.resolve();
  const loop = async (signal: AbortSignal) => {
    while (!signal.aborted) {
      const jobs = await boss.fetch<Payload>(QUEUE, { batchSize });
      for (const { data } of jobs) onStart(data);
      const ids = jobs.map(({ id }) => id);
      if (ids.length > 0) await boss.complete(QUEUE, ids);
      else await delay(IDLE_MS);
    }
  };
  const pause = async () => {
    active.abort();
    await running;
  };
  return {
    resume: async () => {
      active = new AbortController();
      running = Promise.all(Array.from({ length: loops }, () => loop(active.signal)));
    },
    pause,
    close: async () => {
      await pause();
      await boss.stop({ graceful: false });
    },
  };
}
