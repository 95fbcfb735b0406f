import { appendFileSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NonRetryableError, RetryableError, Worker } from "@muster/worker";

const history = env.HISTORY_FILE ?? "";

/** Runs are written down before the work and after it, in one append each. */
function note(what: "begin" | "end", ctx: { task: { id: string }; attempt: { id: string } }): void {
  const line = {
    what,
    task: ctx.task.id,
    attempt: ctx.attempt.id,
    worker: env.WORKER_ID,
    pid: process.pid,
    at: Date.now(),
  };
  appendFileSync(history, `${JSON.stringify(line)}\n`);
}

interface Order {
  readonly ms: number;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
}

await new Worker({
  concurrency: 8,
  prefetch: 4,
  tasks: {
    work: async (ctx) => {
      note("begin", ctx);
      const order = ctx.payload as Order;
      ctx.progress(0.5, "half");
      await ctx.phase("inference", () => delay(order.ms, undefined, { signal: ctx.signal }));
      note("end", ctx);
      if (ctx.attempt.number <= order.failures) throw new RetryableError("not yet", { code: "NOT_YET" });
      return { attempt: ctx.attempt.id };
    },
    hopeless: (ctx) => {
      note("begin", ctx);
      note("end", ctx);
      throw new NonRetryableError("it cannot work", { code: "HOPELESS" });
    },
  },
}).run();
