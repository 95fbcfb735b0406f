/** The worker of most tests: handlers that wait, fail, report and block on request. */
import { randomBytes } from "node:crypto";
import { appendFileSync, existsSync } from "node:fs";
import { env, exit, kill, pid } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NonRetryableError, RetryableError, Worker } from "@muster/worker";

/** What the handlers of `take` take. */
let taken = 0;

/** Handlers that misbehave on request. Each run is appended to `RUNS_FILE`, when set, as `taskId attemptId workerId time`. */
const worker = new Worker({
  tasks: {
    echo: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      return ctx.payload;
    },
    /** Returns what the schedule that submitted it is. */
    tick: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      return ctx.schedule;
    },
    sleep: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      await delay(ms(ctx.payload), undefined, { signal: ctx.signal });
      return { slept: ms(ctx.payload), worker: env.WORKER_ID };
    },
    /** Runs until the file `gate` exists; `deaf` makes it ignore cancellation, `bytes` its result larger. */
    gate: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { gate, deaf, bytes } = Object(ctx.payload);
      while (!existsSync(String(gate))) await delay(20, undefined, deaf ? {} : { signal: ctx.signal });
      const filler = bytes === undefined ? {} : { filler: randomBytes(Number(bytes) / 2).toString("hex") };
      return { worker: env.WORKER_ID, attempt: ctx.attempt.number, ...filler };
    },
    /** Takes `gpu` units for `ms` milliseconds, or until the file `gate` exists; notes what all of these take then. */
    take: async (ctx) => {
      const { gpu, gate } = Object(ctx.payload);
      taken += Number(gpu);
      note(ctx.task.id, ctx.attempt.id);
      if (env.RUNS_FILE) appendFileSync(`${env.RUNS_FILE}-taken`, `${env.WORKER_ID} ${taken}\n`);
      try {
        while (gate !== undefined && !existsSync(String(gate)))
          await delay(20, undefined, { signal: ctx.signal });
        await delay(ms(ctx.payload), undefined, { signal: ctx.signal });
      } finally {
        taken -= Number(gpu);
      }
      return { worker: env.WORKER_ID };
    },
    /** Counts iterations after those of earlier attempts: fails at `failAt`, waits at `waitAt` for `gate`, ends after `last`. */
    iterate: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { failAt, waitAt, gate, last } = Object(ctx.payload);
      const from = ctx.iterations + 1;
      for (let n = from; n <= last; n++) {
        ctx.iteration(n);
        if (n === failAt) throw new RetryableError(`it failed at ${n}`, { code: "ON_PURPOSE" });
        while (n === waitAt && !existsSync(String(gate))) await delay(20, undefined, { signal: ctx.signal });
      }
      return { from, max: ctx.maxIterations };
    },
    /**
     * Stores the numbers up to `last` as checkpoints, after the one that it goes on from; fails after `failAt`. After a number it
     * waits for its file in `gates`; `deaf` ignores cancellation then. What was stored and refused is appended to the file `acks`.
     */
    steps: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { failAt, gates = {}, deaf, acks, last } = Object(ctx.payload);
      const from = Number(ctx.resumeFrom ?? 0);
      const earlier = ctx.earlierProgress;
      for (let n = from + 1; n <= last; n++) {
        ctx.progress({ done: n, total: last, unit: "steps" });
        try {
          await ctx.checkpoint(n);
          appendFileSync(String(acks), `${ctx.attempt.id} stored ${n}\n`);
        } catch (error) {
          appendFileSync(String(acks), `${ctx.attempt.id} refused ${n}: ${error}\n`);
          throw error;
        }
        if (n === failAt) throw new RetryableError(`it failed after ${n}`, { code: "ON_PURPOSE" });
        while (gates[n] !== undefined && !existsSync(String(gates[n])))
          await delay(20, undefined, deaf ? {} : { signal: ctx.signal });
      }
      return { from, earlier };
    },
    /** Stores `count` checkpoints of some size without waiting for them, then fails. */
    burst: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      if (ctx.resumeFrom !== undefined) return ctx.resumeFrom;
      const { count } = Object(ctx.payload);
      for (let n = 1; n <= count; n++) void ctx.checkpoint({ n, filler: "x".repeat(100_000) });
      throw new RetryableError("it failed after the burst", { code: "ON_PURPOSE" });
    },
    /** Holds the main loop until the file `gate` exists, without a processor of its own for it. */
    block: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      return ctx.phase("inference", () => {
        const { gate } = Object(ctx.payload);
        while (!existsSync(String(gate))) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
        return { worker: env.WORKER_ID };
      });
    },
    /** Holds the main loop, in a phase and then outside of it. */
    hog: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { phaseMs, thenMs } = Object(ctx.payload);
      await ctx.phase("inference", () => spin(Number(phaseMs)));
      spin(Number(thenMs));
      return "done";
    },
    /** Runs until the file `gate` exists, then blocks the main loop without end. */
    blockAfter: async (ctx) => {
      const { gate } = Object(ctx.payload);
      while (!existsSync(String(gate))) await delay(20);
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    },
    /** Waits in a phase until the file `gate` exists, deaf to cancellation. */
    stuck: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { gate } = Object(ctx.payload);
      await ctx.phase("model_load", async () => {
        while (!existsSync(String(gate))) await delay(20);
      });
      return {};
    },
    fail: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      throw new RetryableError("it failed on purpose", { code: "ON_PURPOSE" });
    },
    refuse: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { message = "it will never work" } = Object(ctx.payload);
      throw new NonRetryableError(String(message), { code: "NEVER" });
    },
    crash: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      if (ctx.attempt.number === 1) {
        const { gate } = Object(ctx.payload);
        while (gate !== undefined && !existsSync(String(gate))) await delay(20);
        setTimeout(() => {
          throw new TypeError("thrown outside of every handler");
        }, 10);
        await delay(60_000, undefined, { signal: ctx.signal });
      }
      return { attempt: ctx.attempt.number };
    },
    /** Leaves a rejected promise behind, every time, and goes on. */
    leave: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { afterMs = 100, gate } = Object(ctx.payload);
      while (gate !== undefined && !existsSync(String(gate))) await delay(20);
      setTimeout(() => void Promise.reject(new RangeError("left behind by the handler")), Number(afterMs));
      await delay(60_000, undefined, { signal: ctx.signal });
    },
    /** Submits a child to `queue` and waits for its result; in the first attempt its process ends in between. */
    parent: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { queue } = Object(ctx.payload);
      const child = await ctx.submit("echo", ctx.task.id, { name: "one", queue: String(queue) });
      if (ctx.attempt.number === 1) exit(9);
      return {
        child: child.id,
        duplicate: child.duplicate,
        result: await child.result({ signal: ctx.signal }),
      };
    },
    die: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      if (ctx.attempt.number === 1) exit(9);
      return { attempt: ctx.attempt.number };
    },
    /** Fails at once while the file `BROKEN` exists, as on a machine whose device is broken. */
    render: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      if (existsSync(env.BROKEN ?? "")) throw new RetryableError("no device", { code: "DEVICE_LOST" });
      await delay(30, undefined, { signal: ctx.signal });
      return { worker: env.WORKER_ID };
    },
    /** Kills its process, every time. */
    poison: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      await delay(100);
      kill(pid, "SIGKILL");
      await delay(60_000, undefined, { signal: ctx.signal });
    },
    big: (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      return new Uint8Array(Number(Object(ctx.payload).bytes));
    },
    chatty: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      for (let step = 1; step <= 5; step++) {
        ctx.progress({ done: step, total: 5 }, `step ${step}`);
        ctx.output(`chunk ${step}\n`);
        await delay(20, undefined, { signal: ctx.signal });
      }
      ctx.warn({ step: "upload", code: "UPLOAD_FAILED", message: "the thumbnail was not stored" });
      return { done: true };
    },
    /**
     * Steps `work`, `create_pr` and `notify`, of which the last two are optional; each run of one is noted as `ATTEMPT-NAME`.
     * One of `failing` fails while the file `broken` exists. It waits for `gate` after the first, fails after the last at
     * `failAt`.
     */
    stepped: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { failing = [], broken, gate, failAt } = Object(ctx.payload);
      const run = (name: string) => () => {
        note(`${ctx.task.id}/steps`, `${ctx.attempt.id}-${name}`);
        if (failing.includes(name) && existsSync(String(broken)))
          throw new RetryableError(`${name} failed`, { code: "ON_PURPOSE" });
        return { ran: ctx.attempt.id };
      };
      const work = await ctx.step("work", run("work"));
      while (gate !== undefined && !existsSync(String(gate)))
        await delay(20, undefined, { signal: ctx.signal });
      const pr = await ctx.step("create_pr", run("create_pr"), { optional: true });
      await ctx.step("notify", run("notify"), { optional: true });
      if (ctx.attempt.number === failAt) throw new RetryableError("it failed", { code: "ON_PURPOSE" });
      return { work: work.ran, pr: pr?.ran ?? null };
    },
    /** Measures `amounts` and one call, notes `iteration`; waits for `gate`, then measures `after`, and fails at `failAt`. */
    measured: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { amounts = [], iteration = 0, gate, after = 0, failAt } = Object(ctx.payload);
      ctx.fact("iteration", iteration);
      for (const amount of amounts) ctx.metric("tokens_in", amount);
      ctx.metric("calls", 1);
      while (gate !== undefined && !existsSync(String(gate)))
        await delay(20, undefined, { signal: ctx.signal });
      ctx.metric("tokens_in", after);
      if (ctx.attempt.number === failAt)
        throw new RetryableError("it failed", { code: "ON_PURPOSE", facts: { model: "large" } });
      return null;
    },
    /** Pauses a rate limit key; the result is the end of the pause, or why there is none. */
    pauseKey: async (ctx) => {
      note(ctx.task.id, ctx.attempt.id);
      const { key, forS } = Object(ctx.payload);
      try {
        return { until: (await ctx.pauseKey(String(key), Number(forS), "HTTP 429")).toISOString() };
      } catch (error) {
        return { refused: String(error) };
      }
    },
  },
  concurrency: Number(env.SLOTS ?? "2"),
  prefetch: Number(env.PREFETCH ?? "0"),
  queues: (env.QUEUES ?? "default").split(","),
  labels: env.LABELS ? JSON.parse(env.LABELS) : {},
  capacities: env.CAPACITIES ? JSON.parse(env.CAPACITIES) : {},
});

// A program that has started when the test wants a worker, however long that took.
while (env.START_GATE && !existsSync(env.START_GATE)) await delay(20);

await worker.run();

function spin(forMs: number): void {
  const end = performance.now() + forMs;
  while (performance.now() < end);
}

function ms(payload: unknown): number {
  return Number(Object(payload).ms ?? 0);
}

function note(taskId: string, attemptId: string): void {
  const at = performance.timeOrigin + performance.now();
  if (env.RUNS_FILE) appendFileSync(env.RUNS_FILE, `${taskId} ${attemptId} ${env.WORKER_ID} ${at}\n`);
}
