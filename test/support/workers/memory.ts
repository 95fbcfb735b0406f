/** Handlers that use up memory. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { env } from "node:process";
import { Worker } from "@muster/worker";

const hoard: unknown[] = [];

/** Tasks that use up memory: the runtime's heap, or that of the machine. With `once` only at their first run. */
const worker = new Worker({
  tasks: {
    heap: (ctx) => {
      if (runsAgain(ctx.task.id) && Object(ctx.payload).once) return { runs: 2 };
      for (;;) hoard.push(new Array(10_000).fill(ctx.task.id).map((id, at) => `${id}-${at}`));
    },
    machine: (ctx) => {
      if (runsAgain(ctx.task.id) && Object(ctx.payload).once) return { runs: 2 };
      for (;;) hoard.push(Buffer.alloc(8 * 1024 * 1024, 1));
    },
  },
  queues: (env.QUEUES ?? "default").split(","),
  capacities: env.CAPACITIES ? JSON.parse(env.CAPACITIES) : {},
  labels: env.LABELS ? JSON.parse(env.LABELS) : {},
});

await worker.run();

/** Notes the run; true when there was one before. */
function runsAgain(taskId: string): boolean {
  const file = env.RUNS_FILE ?? "";
  const before = existsSync(file) && readFileSync(file, "utf8").includes(`${taskId} `);
  appendFileSync(file, `${taskId} x ${env.WORKER_ID}\n`);
  return before;
}
