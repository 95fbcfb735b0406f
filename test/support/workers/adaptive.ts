import { existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { RetryableError, Worker } from "@muster/worker";

/** A worker whose concurrency of `work` adapts. */
const worker = new Worker({
  tasks: {
    work: {
      concurrency: { max: 6, start: 4, windowS: 1 },
      /** Waits until the file `gate` exists, where the payload names one; `fail` makes it fail then. */
      handler: async (ctx) => {
        const { gate, fail } = Object(ctx.payload);
        while (gate !== undefined && !existsSync(String(gate)))
          await delay(20, undefined, { signal: ctx.signal });
        if (fail) throw new RetryableError("on purpose", { code: "ON_PURPOSE" });
        return { worker: env.WORKER_ID };
      },
    },
    other: () => env.WORKER_ID,
  },
  queues: (env.QUEUES ?? "default").split(","),
});

await worker.run();
