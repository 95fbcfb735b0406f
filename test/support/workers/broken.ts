import { env } from "node:process";
import { Worker } from "@muster/worker";

/** Throws before it runs: at its beginning, or, with `WHEN=made`, once the worker is made. */
if (env.WHEN !== "made") throw new TypeError("no model in the cache");
const worker = new Worker({ tasks: { echo: (ctx) => ctx.payload } });
if (env.WHEN === "made") throw new TypeError("no model in the cache");
await worker.run();
