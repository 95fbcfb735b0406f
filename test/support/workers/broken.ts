import { env } from "node:process";
import { Worker } from "@muster/worker";

/**
 * Throws before it runs: at its beginning, with the fatal handler of `init`, or, with `WHEN=made`, once it has a worker, which
 * has no handler yet with `WHEN=empty`.
 */
const made = env.WHEN === "made" || env.WHEN === "empty";
if (!made) await import("@muster/worker/init");
if (!made) throw new TypeError("no model in the cache");
const worker = new Worker(env.WHEN === "empty" ? {} : { tasks: { echo: (ctx) => ctx.payload } });
if (made) throw new TypeError("no model in the cache");
await worker.run();
