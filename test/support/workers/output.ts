import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { RetryableError, Worker } from "@muster/worker";

/** Handlers that write much output, or tell how far they are until the last moment. */
const worker = new Worker({
  tasks: {
    /** Writes `chunks` pieces of 64 KiB in one go; `failures` attempts fail after that. */
    pour: (ctx) => {
      const { chunks, failures } = Object(ctx.payload);
      for (let n = 0; n < Number(chunks); n++) ctx.output(new Uint8Array(65_536).fill(n % 251));
      if (ctx.attempt.number <= Number(failures ?? 0)) throw new RetryableError("once more");
      return { poured: Number(chunks) };
    },
    /** The same bit by bit. */
    trickle: async (ctx) => {
      const { chunks } = Object(ctx.payload);
      for (let n = 0; n < Number(chunks); n++) {
        ctx.output(new Uint8Array(65_536).fill(n % 251));
        if (n % 10 === 9) await delay(20);
      }
      return { poured: Number(chunks) };
    },
    /** The last progress comes right before the end. */
    count: async (ctx) => {
      for (let done = 1; done <= 5; done++) {
        if (done === 5) await delay(Number(Object(ctx.payload).ms ?? 0));
        ctx.progress({ done, total: 5 });
      }
      return {};
    },
    /** Progress of the first phase, none of the second, which lasts until the task is cancelled. */
    phases: async (ctx) => {
      await ctx.phase("download", () => ctx.progress({ done: 5, total: 5 }));
      await ctx.phase("upload", () => delay(60_000, undefined, { signal: ctx.signal }));
    },
    /** Progress of the whole task, with a phase for each part of it; waits in the third. */
    parts: async (ctx) => {
      for (let done = 0; done < 5; done++) {
        ctx.progress({ done, total: 5 });
        await ctx.phase(`part_${done}`, () =>
          done < 3 ? delay(1) : delay(60_000, undefined, { signal: ctx.signal }),
        );
      }
    },
  },
  concurrency: Number(env.SLOTS ?? "2"),
});

await worker.run();
