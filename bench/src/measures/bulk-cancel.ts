/** Measures a bulk cancel of waiting tasks, and what other tasks notice of it. */
import { setTimeout as delay } from "node:timers/promises";
import type { Client } from "@muster/worker/client";
import { monotonicMs } from "../lab/monotonic.ts";
import type { Sample } from "../report/sample.ts";
import { isMet, medianOf, parameterValues, runsOf } from "../report/select.ts";
import { quantile } from "../report/statistics.ts";
import { type Findings, figure } from "../report/table.ts";
import { Stack } from "../workers/stack.ts";
import type { Context, Measure } from "./measure.ts";

const PAYLOAD_BYTES = 100;

/** Tasks that are cancelled. They wait in a queue that no worker serves. */
const TASKS = 100_000;
const QUICK_TASKS = 300;
const BACKLOG = "backlog";

/** The other load: a task each time, from its submit to its result. */
const EVERY_MS = 20;

/** How long the other load runs without the cancel. */
const ALONE_MS = 10_000;
const QUICK_ALONE_MS = 300;

/** Longest cancel in the target, milliseconds. */
const TARGET_MS = 30_000;

export const bulkCancel: Measure = {
  name: "bulk-cancel",
  summary: "bulk cancel of 100,000 waiting tasks, and the latency of other tasks with and without it",
  compares: false,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      if (context.signal.aborted) return;
      await measureRun(context, context.firstRun + run);
    }
  },
  report,
};

async function measureRun(context: Context, run: number): Promise<void> {
  const tasks = context.quick ? QUICK_TASKS : TASKS;
  const aloneMs = context.quick ? QUICK_ALONE_MS : ALONE_MS;
  const stack = await Stack.start(context.lab, { concurrency: 50, prefetch: 0 });
  // The first tasks compile the code.
  await latencies(stack.client, delay(aloneMs / 2));
  await stack.submit(tasks, PAYLOAD_BYTES, () => ({ queue: BACKLOG }));
  const without = await latencies(stack.client, delay(aloneMs));
  const startedAt = monotonicMs();
  let endedAt = startedAt;
  const cancelling = cancel(stack.client, tasks).finally(() => {
    endedAt = monotonicMs();
  });
  const during = await latencies(stack.client, cancelling);
  const ms = endedAt - startedAt;
  const values = {
    cancel_ms: ms,
    cancel_per_s: (tasks * 1_000) / ms,
    ...quantiles("without", without),
    ...quantiles("during", during),
  };
  context.say(
    `${figure(ms)} ms for ${tasks} tasks; others p50 ${figure(values.without_p50_ms)} to ${figure(values.during_p50_ms)} ms, p99 ${figure(values.without_p99_ms)} to ${figure(values.during_p99_ms)} ms`,
  );
  context.record({ part: "cancel", subject: "muster", run, parameters: { tasks }, values });
  await stack.close();
}

async function cancel(client: Client, tasks: number): Promise<void> {
  let done = 0;
  const filter = { queues: [BACKLOG], states: ["queued"] } as const;
  for await (const progress of client.changeTasks("cancel", filter)) done = progress.done;
  if (done !== tasks) throw new Error(`${done} of ${tasks} tasks were cancelled`);
}

/** Submits a task each time until `until` settles; answers the milliseconds from each submit to its result. */
async function latencies(client: Client, until: Promise<unknown>): Promise<number[]> {
  let isOver = false;
  const over = until.finally(() => {
    isOver = true;
  });
  // Its failure is thrown below, when the last latency is known.
  over.catch(() => undefined);
  const measured: Promise<number>[] = [];
  while (!isOver) {
    measured.push(latency(client));
    await delay(EVERY_MS);
  }
  await over;
  return Promise.all(measured);
}

async function latency(client: Client): Promise<number> {
  const startedAt = monotonicMs();
  const task = await client.submit("noop", {});
  await task.result();
  return monotonicMs() - startedAt;
}

function quantiles<Name extends string>(name: Name, values: readonly number[]) {
  return {
    [`${name}_p50_ms`]: quantile(values, 0.5),
    [`${name}_p99_ms`]: quantile(values, 0.99),
    [`${name}_max_ms`]: quantile(values, 1),
  } as Record<`${Name}_${"max" | "p50" | "p99"}_ms`, number>;
}

function report(samples: readonly Sample[]): Findings {
  if (samples.length === 0) return { tables: [], targets: [], charts: [] };
  const tasks = parameterValues(samples, "tasks").at(-1) ?? 0;
  const middle = (name: string) => medianOf(samples, {}, name);
  const ms = middle("cancel_ms");
  return {
    tables: [
      {
        title: `Bulk cancel of ${tasks.toLocaleString("en-US")} waiting tasks beside one task every ${EVERY_MS} ms, median of ${runsOf(samples)} runs`,
        head: ["", "p50 ms", "p99 ms", "longest ms"],
        rows: [
          row("other tasks, without the cancel", "without"),
          row("other tasks, during the cancel", "during"),
          ["the cancel", figure(ms), "", ""],
        ],
      },
    ],
    targets: [
      {
        text: `the cancel takes at most ${TARGET_MS / 1_000} s`,
        measured: Number.isFinite(ms) ? `${figure(ms / 1_000)} s` : undefined,
        met: isMet(ms, (value) => value <= TARGET_MS),
      },
    ],
    charts: [],
  };

  function row(label: string, name: string): string[] {
    return [
      label,
      ...["p50", "p99", "max"].map((quantileName) => figure(middle(`${name}_${quantileName}_ms`))),
    ];
  }
}
