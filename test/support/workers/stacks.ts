/** Handlers that are asked where they are. */
import { existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "@muster/worker";
import { command } from "@muster/worker/command";

const worker = new Worker({
  concurrency: 4,
  queues: [env.QUEUES ?? "default"],
  taskLogs: { redactPatterns: [/customer-\d+/] },
  tasks: {
    /** Blocks the main loop until the file exists. */
    blocks: (ctx) => blockUntil(fileOf(ctx.payload)),
    /** Waits in a phase until the file exists. */
    awaits: (ctx) =>
      ctx.phase("download", async () => {
        while (!existsSync(fileOf(ctx.payload))) await delay(20, undefined, { signal: ctx.signal });
      }),
    isolated: {
      isolate: { killGraceS: 0.2 },
      handler: (ctx) => {
        ctx.progress(0.5);
        loopsInProcess(fileOf(ctx.payload));
      },
    },
    sleeps: command(["sh", "-c", 'sleep "$1"; exit 0', "--password=hunter2-hunter2", "60", "customer-17"]),
  },
});
await worker.run();

function fileOf(payload: unknown): string {
  return String((payload as { gate: string }).gate);
}

function blockUntil(file: string): void {
  while (!existsSync(file));
}

function loopsInProcess(file: string): void {
  while (!existsSync(file));
}
