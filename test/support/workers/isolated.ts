/** Isolated handlers, found by the program's entry file. */
import { env } from "node:process";
import { Worker } from "@muster/worker";

const worker = new Worker({
  concurrency: 3,
  queues: [env.QUEUES ?? "default"],
  tasks: {
    loop: {
      isolate: { killGraceS: 0.2 },
      handler: (ctx) => {
        ctx.progress(0.5, String(process.pid));
        process.stderr.write("this loop has no end\n");
        spin();
      },
    },
    crash: {
      isolate: true,
      handler: async (ctx) => {
        if (ctx.resumeFrom !== undefined) return ctx.resumeFrom;
        await ctx.checkpoint({ page: 3 });
        return process.kill(process.pid, (ctx.payload as { signal: string }).signal);
      },
    },
    pid: { isolate: true, handler: () => process.pid },
    neighbour: async (ctx) => {
      for (let done = 1; done <= 20; done++) {
        ctx.progress({ done, total: 20 });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      return process.pid;
    },
  },
});
await worker.run();

function spin(): void {
  for (;;);
}
