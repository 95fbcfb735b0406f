import { appendFileSync, existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "@muster/worker";

/** Handlers that wait for children. Each run is appended to `RUNS_FILE` as `taskId attemptId workerId time`. */
const worker = new Worker({
  tasks: {
    /** Runs itself as a child, `depth` times, in `queue`, with the concurrency key `key`; the last one waits for the file `gate`. Returns the ids from the top. */
    nest: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { depth, gate, queue, key } = Object(ctx.payload);
      if (depth === 0) {
        while (gate !== undefined && !existsSync(String(gate)))
          await delay(20, undefined, { signal: ctx.signal });
        return [ctx.task.id];
      }
      const options = key === undefined ? { queue } : { queue, concurrency: [{ key, limit: 1 }] };
      const below = await ctx.run<string[]>("nest", { depth: depth - 1, gate, queue }, options);
      return [ctx.task.id, ...below];
    },
    /** The same for one child, with its slot. */
    hold: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { queue } = Object(ctx.payload);
      const child = await ctx.submit<string[]>("nest", { depth: 0 }, { queue: String(queue) });
      return [ctx.task.id, ...(await child.result({ signal: ctx.signal }))];
    },
    /** Waits for the file `gate` without its slot. */
    outside: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { gate } = Object(ctx.payload);
      {
        await using slot = await ctx.releaseSlot("the billing system");
        while (!existsSync(String(gate))) await delay(20, undefined, { signal: ctx.signal });
        void slot;
      }
      note(`${ctx.task.id}/after`, ctx.attempt.id);
      return ctx.task.id;
    },
    /** Runs `count` children at once. */
    spread: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { count, queue } = Object(ctx.payload);
      const children = Array.from({ length: count }, (_, n) =>
        ctx.run<string[]>("nest", { depth: 0, n }, { queue: String(queue) }),
      );
      return (await Promise.all(children)).flat();
    },
  },
  concurrency: Number(env.SLOTS ?? "1"),
  queues: (env.QUEUES ?? "default").split(","),
  capacities: env.CAPACITIES ? JSON.parse(env.CAPACITIES) : {},
});
await worker.run();

function note(taskId: string, attemptId: string): void {
  if (env.RUNS_FILE) appendFileSync(env.RUNS_FILE, `${taskId} ${attemptId} ${env.WORKER_ID} ${Date.now()}\n`);
}
