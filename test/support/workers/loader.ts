import { existsSync } from "node:fs";
import process, { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "@muster/worker";

/** A resource that the worker can load: it takes until the file `gate` exists, and fails the first `failures` times. */
interface Loadable {
  readonly gate?: string;
  readonly failures?: number;
}

/** Runs `llm` tasks, each for the payload's `ms`; `LOADABLE` is a JSON object of resource names and how each loads. */
const worker = new Worker({
  tasks: {
    llm: async (ctx) => {
      await delay(Number(Object(ctx.payload).ms ?? 0), undefined, { signal: ctx.signal });
      return { worker: env.WORKER_ID };
    },
  },
  concurrency: Number(env.SLOTS ?? "1"),
  queues: (env.QUEUES ?? "default").split(","),
  resources: env.RESOURCES ? env.RESOURCES.split(",") : [],
});

const loadable: Record<string, Loadable> = JSON.parse(env.LOADABLE ?? "{}");
for (const [name, { gate, failures = 0 }] of Object.entries(loadable)) {
  let tries = 0;
  worker.resources.register(name, {
    load: async ({ signal }) => {
      tries += 1;
      if (tries <= failures) throw new RangeError(`no memory left for ${name} (try ${tries})`);
      while (gate !== undefined && !existsSync(gate)) await delay(10, undefined, { signal });
    },
  });
}

// What a worker under pressure does: the first SIGHUP pauses it, the next one ends that.
let paused = false;
process.on("SIGHUP", () => {
  paused = !paused;
  if (paused) worker.pause("memory: 97 % used");
  else worker.resume();
});

await worker.run();
