import { appendFileSync, existsSync } from "node:fs";
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { RetryableError, Worker } from "@muster/worker";
import { startOtel } from "@muster/worker/otel";
import { trace } from "@opentelemetry/api";

/** A worker with an OpenTelemetry SDK, whose handler traces by itself. */
await startOtel({ serviceName: "traced-worker" });

const tracer = trace.getTracer("handler");

const worker = new Worker({
  tasks: {
    /** Two phases with a span of the author's in each; `gate` holds the second one, `fails` attempts fail. */
    work: async (ctx) => {
      const { gate, fails } = Object(ctx.payload);
      if (env.RUNS_FILE) appendFileSync(env.RUNS_FILE, `${ctx.task.id} ${ctx.attempt.id} ${env.WORKER_ID}\n`);
      ctx.log.info({ event: "handler.began" });
      await ctx.phase("model_load", () => authored("read weights"), { context: { model: "tiny" } });
      await ctx.phase("inference", async () => {
        await authored("forward");
        ctx.log.info({ event: "handler.inferred" });
        if (ctx.attempt.number <= Number(fails ?? 0))
          throw new RetryableError("on purpose", { code: "ON_PURPOSE" });
        while (gate && !existsSync(String(gate))) await delay(20, undefined, { signal: ctx.signal });
      });
      return { traceparent: ctx.headers.traceparent ?? null };
    },
  },
  concurrency: Number(env.SLOTS ?? "2"),
  queues: (env.QUEUES ?? "default").split(","),
});

await worker.run();

/** A span made as an author makes it, over an await. */
function authored(name: string): Promise<void> {
  return tracer.startActiveSpan(name, async (span) => {
    await delay(15);
    span.end();
  });
}
