import { appendFileSync, existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { defineTask, Worker } from "@muster/worker";
import { z } from "zod";

/** A worker whose handler runs batches of up to `BATCH_SIZE`. Each member is noted as by `basic.ts`. */
const embed = defineTask({ type: "embed", input: z.object({ gate: z.string() }) });

const size = Number(env.BATCH_SIZE);
const worker = new Worker({ concurrency: Number(env.SLOTS), queues: (env.QUEUES ?? "default").split(",") });

worker.handleBatch(
  embed,
  async (inputs, members) => {
    const at = performance.timeOrigin + performance.now();
    for (const { task, attempt } of members)
      if (env.RUNS_FILE) appendFileSync(env.RUNS_FILE, `${task.id} ${attempt.id} ${env.WORKER_ID} ${at}\n`);
    while (inputs.some(({ gate }) => !existsSync(gate))) await delay(20);
    return members.map(() => ({ size: members.length, worker: env.WORKER_ID }));
  },
  { batch: { size, waitMs: Number(env.BATCH_WAIT_MS) } },
);

await worker.run();
