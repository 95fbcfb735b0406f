import { existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { type TaskContext, Worker } from "@muster/worker";

/** Handlers that stand still in every way, until the file `gate` of their payload exists. */
const worker = new Worker({
  tasks: {
    /** Awaits in a phase; `fail` makes the phase fail in the end. */
    load: async (ctx) => {
      const context = { model: "whisper-large" };
      await ctx.phase("model_load", () => gateOf(ctx), { context });
      return { worker: env.WORKER_ID };
    },
    loadThenFail: async (ctx) => {
      const fail = async () => {
        await gateOf(ctx);
        throw new TypeError("no such weights");
      };
      await ctx.phase("model_load", fail).catch(() => undefined);
      return { worker: env.WORKER_ID };
    },
    /** Awaits without a word. */
    mute: async (ctx) => {
      await gateOf(ctx);
      return { worker: env.WORKER_ID };
    },
    /** Says that it will be silent, and is; in `phase`, where the payload names one. */
    expects: async (ctx) => {
      const { quietForS, phase } = Object(ctx.payload);
      const quiet = async () => {
        ctx.expect({ quietForS, reason: "compiles the shaders" });
        await gateOf(ctx);
      };
      await (phase === undefined ? quiet() : ctx.phase(phase, quiet));
      return { worker: env.WORKER_ID };
    },
    /** Gives its phase `timeoutS` more, where the payload has that, and waits; `deaf` makes it ignore its limit. */
    extends: async (ctx) => {
      const { timeoutS, gate, deaf } = Object(ctx.payload);
      await ctx.phase("inference", async (phase) => {
        if (timeoutS !== undefined) phase.extend({ timeoutS });
        if (!deaf) await gateOf(ctx);
        while (!existsSync(String(gate))) await delay(20);
      });
      return { worker: env.WORKER_ID };
    },
    /** Holds the main loop in a phase. */
    block: (ctx) =>
      ctx.phase("inference", () => {
        const { gate } = Object(ctx.payload);
        // Without a processor of its own for it: the tests beside need them.
        while (!existsSync(String(gate))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        return { worker: env.WORKER_ID };
      }),
    /** Makes progress until `stop` exists, stands until `gate` does, and makes progress again. */
    steps: async (ctx) => {
      const { stop } = Object(ctx.payload);
      let done = 0;
      const step = async () => {
        done += 1;
        ctx.progress({ done, total: 1_000 }, `step ${done}`);
        await delay(50);
      };
      const steps = async () => {
        while (!existsSync(String(stop))) await step();
        await gateOf(ctx);
        await step();
      };
      await ctx.phase("inference", steps, { progress: true });
      return { done };
    },
    /** A phase inside a phase. */
    nested: async (ctx) => {
      await ctx.phase("inference", () => ctx.phase("decode", () => gateOf(ctx)));
      return {};
    },
    fail: () => {
      throw new RangeError("the handler failed");
    },
    echo: (ctx) => ctx.payload,
  },
  concurrency: Number(env.SLOTS ?? "1"),
  prefetch: Number(env.PREFETCH ?? "0"),
  queues: (env.QUEUES ?? "default").split(","),
  labels: env.LABELS ? JSON.parse(env.LABELS) : {},
});

await worker.run();

async function gateOf(ctx: TaskContext): Promise<void> {
  const { gate } = Object(ctx.payload);
  while (!existsSync(String(gate))) await delay(20, undefined, { signal: ctx.signal });
}
