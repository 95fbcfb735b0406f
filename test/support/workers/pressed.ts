import { existsSync, readFileSync } from "node:fs";
import process, { env } from "node:process";
import { Worker } from "@muster/worker";

/** Runs `echo` and `block` tasks, and pauses by `BACKPRESSURE` (JSON) and by the text in the file `PROBE`: `throw`, `hang`, or a reason. */
const worker = new Worker({
  tasks: {
    echo: (ctx) => ctx.payload,
    block: (ctx) => {
      const until = performance.now() + Number(Object(ctx.payload).ms);
      while (performance.now() < until);
    },
  },
  concurrency: 4,
  queues: (env.QUEUES ?? "default").split(","),
  backpressure: {
    ...JSON.parse(env.BACKPRESSURE ?? "{}"),
    ...(env.PROBE === undefined ? {} : { probe: () => probe(env.PROBE ?? "") }),
  },
});

function probe(file: string): string | undefined | Promise<undefined> {
  const text = existsSync(file) ? readFileSync(file, "utf8") : "";
  if (text === "throw") throw new RangeError("no answer from the licence server");
  if (text === "hang") return new Promise(() => undefined);
  return text || undefined;
}

// Memory that the test asks for and gives back.
const held: Buffer[] = [];
process.on("SIGHUP", () => {
  if (held.length === 0) held.push(Buffer.alloc(Number(env.HOLD_BYTES), 1));
  else held.length = 0;
});

await worker.run();
