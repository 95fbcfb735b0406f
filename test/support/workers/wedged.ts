/** A worker whose main loop stands still once it is ready, until the file `GATE` exists: it accepts nothing meanwhile. */
import { existsSync } from "node:fs";
import { env } from "node:process";
import { setImmediate } from "node:timers/promises";
import { Worker } from "@muster/worker";

const worker = new Worker({
  tasks: { echo: (ctx) => ctx.payload },
  concurrency: 1,
  queues: (env.QUEUES ?? "default").split(","),
});

const running = worker.run();
// The loop turns once after the worker is ready, so that it stands still before an assignment can arrive.
while (worker.status !== "ready") await setImmediate();
const word = new Int32Array(new SharedArrayBuffer(4));
while (!existsSync(String(env.GATE))) Atomics.wait(word, 0, 0, 20);
await running;
