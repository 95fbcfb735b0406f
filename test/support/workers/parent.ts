import { appendFileSync } from "node:fs";
import { env } from "node:process";
import { Worker } from "@muster/worker";
import { Client } from "@muster/worker/client";

/** A handler that waits for the result of a task that it submits to its own queue. */
const client = new Client();
const queue = env.QUEUES ?? "default";
const worker = new Worker({
  tasks: {
    parent: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const child = await client.submit("child", ctx.payload, { queue });
      return { child: child.id, result: await child.result() };
    },
    child: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      return ctx.payload;
    },
  },
  concurrency: 1,
  queues: [queue],
});
await worker.run();
client.close();

function note(taskId: string, attemptId: string): void {
  if (env.RUNS_FILE) appendFileSync(env.RUNS_FILE, `${taskId} ${attemptId} ${env.WORKER_ID}\n`);
}
