import { execFileSync, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { NonRetryableError, type TaskContext, Worker } from "./index.ts";

/** What the processes of isolated handlers import: the tests of this folder start it. */

let runs = 0;

const isolate = { module: import.meta.url, killGraceS: 0.3 };

const block = (): never => {
  for (;;);
};

type Ctx = TaskContext<unknown, { readonly name: string }>;

/** The handlers, each with what it shows. */
const handlers: Record<string, (ctx: Ctx) => unknown> = {
  context: async (ctx) => {
    const payload = ctx.payload as { readonly page: number };
    const folder = await ctx.scratch();
    writeFileSync(join(folder, "page.txt"), "x");
    ctx.progress(0.5, "half");
    ctx.output("chunk");
    ctx.log.info({ page: payload.page, token: "tok-123456789012" }, "a line");
    process.stdout.write("to standard output\n");
    process.stderr.write("to standard error\n");
    await ctx.checkpoint({ page: payload.page });
    const until = await ctx.pauseKey("api", 30, "HTTP 429");
    const kept = await ctx.step("count", () => ++runs);
    await ctx.phase("inference", () => Promise.resolve());
    ctx.warn({ step: "thumbnail", code: "NO_THUMBNAIL", message: "none" });
    return {
      ...{ folder, kept, runs, pid: process.pid, resume: ctx.resumeFrom, paused: until instanceof Date },
      service: ctx.services.name,
      attempt: ctx.attempt.number,
    };
  },
  pid: () => process.pid,
  loop: (ctx) => {
    if (!Object(ctx.payload).block) return process.pid;
    ctx.progress(0.25, "before the loop");
    process.stderr.write("about to loop\n");
    return block();
  },
  phase: (ctx) => (Object(ctx.payload).block ? ctx.phase("inference", block) : process.pid),
  segv: (ctx) => {
    ctx.fact("page", 7);
    ctx.metric("pages", 6);
    return process.kill(process.pid, "SIGSEGV");
  },
  exit: () => process.exit(Number("7")),
  heap: () => {
    const all: unknown[] = [];
    for (;;) all.push(new Array(10_000).fill({}));
  },
  buffers: async () => {
    const all: Buffer[] = [];
    for (;;) {
      all.push(Buffer.alloc(8 * 1024 * 1024, 1));
      await new Promise(setImmediate);
    }
  },
  uncaught: () =>
    new Promise(() =>
      setImmediate(() => {
        throw new RangeError("an error without a handler");
      }),
    ),
  fails: () => {
    throw new NonRetryableError("no text", { code: "NO_TEXT", details: { page: 3 } });
  },
  wait: async (ctx) => {
    await new Promise((resolve) => ctx.signal.addEventListener("abort", resolve));
    ctx.signal.throwIfAborted();
  },
  /** Ignores the request to stop, and starts a process in a session of its own. */
  stubborn: async (ctx) => {
    const child = spawn("sleep", ["300"], { detached: true, stdio: "ignore" });
    ctx.progress(0.1, String(child.pid));
    await new Promise(() => {});
  },
  sleeps: () => execFileSync("sleep", ["300"]),
  /** Leaves a timer behind, and sends messages of its own. */
  behind: (ctx) => {
    process.send?.(null as never);
    process.send?.("ready");
    setInterval(() => {
      ctx.log.info(`from ${ctx.attempt.id}`);
      ctx.progress(Math.random());
    }, 1);
    if (!Object(ctx.payload).wait) return process.pid;
    return new Promise((resolve) => setTimeout(() => resolve(process.pid), 50));
  },
  late: async () => "x".repeat(20_000),
};

const limited = { ...isolate, memoryLimitBytes: 256 * 1024 * 1024 };

/** The worker of the tests, and of the processes. */
export const worker = new Worker({
  id: "isolated",
  concurrency: 4,
  lifespan: () => ({ name: `services of ${process.pid}` }),
  tasks: {
    ...Object.fromEntries(
      Object.entries(handlers).map(([type, handler]) => [
        type,
        { handler, isolate: ["heap", "buffers"].includes(type) ? limited : isolate },
      ]),
    ),
    single: { handler: () => process.pid, isolate: { ...isolate, reuse: false } },
    neighbour: async () => process.pid,
  },
});

worker.use(async (ctx, next) => {
  ctx.log.debug("around");
  return next();
});
