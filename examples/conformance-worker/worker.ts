/** The worker that `muster conformance` runs the TypeScript SDK with: the task types that the suite needs. */
import { once } from "node:events";
import { env, kill, pid } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NonRetryableError, RetryableError, type TaskContext, Worker } from "@muster/worker";

const seconds = (ctx: TaskContext): number => Number(Object(ctx.payload).s ?? 0) * 1000;
const sleep = async (ctx: TaskContext): Promise<null> => {
  await delay(seconds(ctx), undefined, { signal: ctx.signal });
  return null;
};

const worker = new Worker({
  tasks: {
    echo: (ctx) => ctx.payload,
    sleep,
    stubborn: async (ctx) => {
      await delay(seconds(ctx));
      return "a value";
    },
    block: async (ctx) => {
      const { phase } = Object(ctx.payload);
      const wait = () => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, seconds(ctx));
      if (phase === undefined) wait();
      else await ctx.phase(String(phase), wait);
      return null;
    },
    hold: (ctx) => {
      const end = performance.now() + seconds(ctx);
      while (performance.now() < end) JSON.parse(`[${"1,".repeat(10_000)}1]`);
      return null;
    },
    fail: (ctx) => {
      const { code, retryable, retry_after: retryAfterS } = Object(ctx.payload);
      const message = `it failed with ${code}, as it was asked to`;
      if (!retryable) throw new NonRetryableError(message, { code });
      throw new RetryableError(message, { code, ...(retryAfterS && { retryAfterS }) });
    },
    boom: () => {
      throw new TypeError("an ordinary exception");
    },
    crash: async () => {
      kill(pid, "SIGKILL");
      await once(process, "never");
    },
    die: async (ctx) => {
      setTimeout(() => {
        throw new RangeError("outside of every handler");
      }, 10);
      await once(ctx.signal, "abort");
    },
    phases: async (ctx) => {
      const half = () => delay(seconds(ctx) / 2, undefined, { signal: ctx.signal });
      await ctx.phase("first", half);
      await ctx.phase("second", half);
      return null;
    },
    output: (ctx) => {
      const { chunks, bytes } = Object(ctx.payload);
      for (let n = 0; n < chunks; n += 1) ctx.output("x".repeat(bytes));
      return null;
    },
    chatty: async (ctx) => {
      const { n } = Object(ctx.payload);
      const beganMs = performance.now();
      for (let done = 1; done <= n; done += 1) {
        ctx.progress({ done, total: n });
        const aheadMs = (3_000 * done) / n - (performance.now() - beganMs);
        if (aheadMs > 0) await delay(aheadMs, undefined, { signal: ctx.signal });
      }
      return null;
    },
    big: (ctx) => "x".repeat(Number(Object(ctx.payload).n) - 2),
    single: { concurrency: 1, handler: sleep },
  },
  concurrency: Number(env.SLOTS ?? 4),
  prefetch: Number(env.PREFETCH ?? 0),
  preflight: async () => {
    await delay(Number(env.STARTUP_S ?? 0) * 1000);
    if (env.STARTUP_FAILS) throw new Error("the startup fails, as it was asked to");
  },
});

let failures = 0;
worker.resources.register("model:slow", { load: () => delay(1_000) });
worker.resources.register("model:broken", {
  load: async () => {
    failures += 1;
    if (failures === 1) throw new Error("the model cannot be loaded the first time");
  },
});

await worker.run();
