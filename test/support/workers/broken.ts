import { env } from "node:process";
import { Worker } from "@muster/worker";

/** Throws before it runs: at its beginning, with the fatal handler of `init`, or, with `WHEN=made`, once it has a worker. */
if (env.WHEN !== "made") await import("@muster/worker/init");
if (env.WHEN !== "made") throw new TypeError("no model in the cache");
const worker = new Worker({ tasks: { echo: (ctx) => ctx.payload } });
if (env.WHEN === "made") throw new TypeError("no model in the cache");
await worker.run();
