/** The worker of the screenshots: tasks of several types, some of which fail or take long. */
import { env } from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { NonRetryableError, RetryableError, Worker } from "@muster/worker";

const worker = new Worker({
  id: env.WORKER_ID ?? "shown",
  pool: "documents",
  queues: ["documents", "reports", "mail"],
  concurrency: 4,
  tasks: {
    "ocr.page": async (ctx) => {
      const { page, lasts = 0 } = ctx.payload as { page: number; lasts?: number };
      ctx.log.info(`reads page ${page}`);
      await ctx.phase("model_load", () => delay(40, undefined, { signal: ctx.signal }));
      await ctx.phase("inference", async () => {
        for (let done = 1; done <= 10; done++) {
          ctx.progress(done / 10, `line ${done * 4} of 40`);
          await delay(lasts / 10 + 20, undefined, { signal: ctx.signal });
        }
      });
      return { page, words: 318, language: "en" };
    },
    "ocr.model": async (ctx) => {
      await ctx.phase("model_load", () => delay(600_000, undefined, { signal: ctx.signal }));
      return {};
    },
    "mail.send": (ctx) => {
      const { to } = ctx.payload as { to: string };
      if (to.endsWith(".invalid"))
        throw new NonRetryableError(`no mail server answers for ${to}`, { code: "UNKNOWN_HOST" });
      ctx.log.info(`sent to ${to}`);
      return { accepted: [to] };
    },
    "report.render": () => {
      throw new RetryableError("cannot reach the report store: connect ECONNREFUSED 10.0.4.17:9000", {
        code: "CONNECT_FAILED",
      });
    },
  },
});
await worker.run();
