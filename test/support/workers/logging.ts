/** Handlers that log until a file exists. */
import { existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { RetryableError, Worker } from "@muster/worker";

/** Waits until the file exists. */
async function opened(gate: unknown): Promise<void> {
  while (typeof gate === "string" && !existsSync(gate)) await delay(20);
}

/** Handlers that log. */
const worker = new Worker({
  tasks: {
    /** Logs a line before the gate and one after it; the first `failures` attempts fail then. */
    steps: async (ctx) => {
      const { gate, failures } = Object(ctx.payload);
      ctx.log.info({ attempt: ctx.attempt.number, password: "hunter2-hunter2" }, "begin");
      await opened(gate);
      ctx.log.child({ part: "b" }).warn("end");
      if (ctx.attempt.number <= Number(failures ?? 0)) throw new RetryableError("once more");
    },
    /** Logs a line, then blocks the process. */
    block: (ctx) => {
      ctx.log.info("before the block");
      const until = Date.now() + Number(Object(ctx.payload).ms);
      while (Date.now() < until);
    },
    /** Logs `lines` lines of `size` characters at once. */
    pour: (ctx) => {
      const { lines, size } = Object(ctx.payload);
      for (let n = 1; n <= Number(lines); n++) ctx.log.info(`${n} ${".".repeat(Number(size))}`);
    },
    quiet: () => undefined,
  },
  queues: (env.QUEUES ?? "default").split(","),
  concurrency: Number(env.SLOTS ?? "2"),
});

await worker.run();
