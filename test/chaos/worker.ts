/** The worker of a chaos run: it writes down each run of a task. */
import { appendFileSync, existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NonRetryableError, RetryableError, type TaskContext, Worker } from "@muster/worker";
import { AHEAD_BYTES, GPU, SOLE } from "./limits.ts";
import { sickFile } from "./sick-file.ts";

const history = env.HISTORY_FILE ?? "";

/** Runs are written down before the work and after it, in one append each. */
function note(
  what: "begin" | "end",
  ctx: { task: { id: string }; attempt: { id: string; max: number } },
  gpu?: number,
): void {
  const line = {
    what,
    task: ctx.task.id,
    attempt: ctx.attempt.id,
    worker: env.WORKER_ID,
    pid: process.pid,
    at: Date.now(),
    max: ctx.attempt.max,
    ...(gpu === undefined ? {} : { gpu }),
  };
  appendFileSync(history, `${JSON.stringify(line)}\n`);
}

interface Order {
  readonly ms: number;
  /** Attempts that fail before one succeeds. */
  readonly failures: number;
  /** What it takes of the capacity. */
  readonly gpu?: number;
}

/** What the running handlers take of it. */
let taken = 0;

/** While it is there the handlers of the worker fail. */
const sick = sickFile(history, env.WORKER_ID ?? "");

async function work(ctx: TaskContext): Promise<unknown> {
  const order = ctx.payload as Order;
  taken += order.gpu ?? 0;
  note("begin", ctx, taken);
  ctx.progress(0.5, "half");
  try {
    if (existsSync(sick)) throw new RetryableError("no device", { code: "SICK" });
    await ctx.phase("inference", () => delay(order.ms, undefined, { signal: ctx.signal }));
  } finally {
    taken -= order.gpu ?? 0;
  }
  note("end", ctx);
  if (ctx.attempt.number <= order.failures) throw new RetryableError("not yet", { code: "NOT_YET" });
  return { attempt: ctx.attempt.id };
}

await new Worker({
  concurrency: 8,
  prefetch: 4,
  assignmentBytes: AHEAD_BYTES,
  capacities: { gpu: GPU },
  tasks: {
    work,
    ...(env.WORKER_ID === SOLE.worker ? { [SOLE.type]: work } : {}),
    hopeless: (ctx) => {
      note("begin", ctx);
      note("end", ctx);
      throw new NonRetryableError("it cannot work", { code: "HOPELESS" });
    },
  },
}).run();
