/** A worker of the test kit's tests. */
import { Worker } from "@muster/worker";

const worker = new Worker({
  tasks: {
    slow: async (ctx) => {
      ctx.progress(0.5);
      await new Promise((_, reject) => ctx.signal.addEventListener("abort", () => reject(ctx.signal.reason)));
    },
    pid: () => process.pid,
  },
});
await worker.run();
