import { env } from "node:process";
import { Worker } from "@muster/worker";

/** A worker whose startup fails or reports a failed step, as `PREFLIGHT` says. */
const worker = new Worker({
  tasks: { echo: (ctx) => ctx.payload },
  queues: (env.QUEUES ?? "default").split(","),
  preflight: async (startup) => {
    switch (env.PREFLIGHT) {
      case "cache":
        startup.emit("cache_preflight_failed", { error: "the bucket is not readable" });
        return;
      case "phase":
        await startup.phase("custom:weights", () => {
          throw new RangeError("no such weights");
        });
        return;
      default:
        throw new TypeError("the driver is too old");
    }
  },
});

await worker.run();
