/** Measures the throughput with many task classes. */
import { setTimeout as delay } from "node:timers/promises";
import { migrateDatabase } from "@muster/scheduler";
import { addWaiting, makeClasses, openStore } from "../depth/fill.ts";
import { monotonicMs } from "../lab/monotonic.ts";
import { settleDatabase } from "../lab/postgres.ts";
import type { Sample } from "../report/sample.ts";
import { medianOf, parameterValues, runsOf, select } from "../report/select.ts";
import { type Findings, figure, type Table } from "../report/table.ts";
import { Stack } from "../workers/stack.ts";
import type { Context, Measure } from "./measure.ts";

const PAYLOAD_BYTES = 100;
const MIB = 1_048_576;

/** Task types, each a class of its own; 1,000 is the most that a worker may run. */
const TYPES = [1, 100, 1_000];
const QUICK_TYPES = [20];
const TASKS = 50_000;
const QUICK_TASKS = 200;

/** Waiting tasks in all classes together, and how long they are drained, milliseconds. */
const DEEP = { waiting: 1_000_000, drainMs: 10_000 };
const QUICK_DEEP = { waiting: 500, drainMs: 100 };

/** The same tasks as one class and spread over many. */
export const classes: Measure = {
  name: "classes",
  summary: "drain rate and the scheduler's memory with the same tasks in 1, 100 and 1,000 task classes",
  compares: false,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      for (const count of context.quick ? QUICK_TYPES : TYPES) {
        if (context.signal.aborted) return;
        await measureDrain(context, count, context.firstRun + run);
        await measureDeep(context, count, context.firstRun + run);
      }
    }
  },
  report,
};

function typesOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `type-${index}`);
}

/** A load that is submitted and drained to its end. */
async function measureDrain(context: Context, count: number, run: number): Promise<void> {
  const tasks = context.quick ? QUICK_TASKS : TASKS;
  const stack = await Stack.start(context.lab, { types: typesOf(count) });
  await stack.load(tasks / 10, PAYLOAD_BYTES);
  await stack.drain(tasks / 10);
  await stack.load(tasks, PAYLOAD_BYTES);
  const drain = await stack.drain(tasks);
  const values = { ...drain, ...(await memoryOf(stack)) };
  await stack.close();
  context.say(
    `${count} classes: ${figure(drain.drain_per_s)}/s, scheduler ${figure(drain.scheduler_cpu_us)} us a task`,
  );
  context.record({ part: "drain", subject: "muster", run, parameters: { classes: count, tasks }, values });
}

/** Many more tasks wait than a scheduler keeps in memory. */
async function measureDeep(context: Context, count: number, run: number): Promise<void> {
  const { waiting, drainMs } = context.quick ? QUICK_DEEP : DEEP;
  const types = typesOf(count);
  const server = await context.lab.postgres();
  const database = await server.createDatabase("classes");
  await migrateDatabase(database.url);
  const store = openStore(database, context.say);
  await addWaiting(database, await makeClasses(store, types), waiting, PAYLOAD_BYTES);
  await store.close();
  await settleDatabase(server, database);
  const stack = await Stack.start(context.lab, { types }, database);
  const before = await stack.schedulerCpuUs();
  const startedAt = monotonicMs();
  await delay(drainMs);
  const handled = await stack.handled();
  const seconds = (monotonicMs() - startedAt) / 1_000;
  const cpuUs = (await stack.schedulerCpuUs()) - before;
  const values = {
    drain_per_s: handled / seconds,
    scheduler_cpu_us: cpuUs / Math.max(1, handled),
    ...(await memoryOf(stack)),
  };
  await stack.close();
  context.say(
    `${count} classes, ${figure(waiting)} waiting: ${figure(values.drain_per_s)}/s, RSS ${figure(values.scheduler_rss_mib)} MiB`,
  );
  context.record({
    part: "deep",
    subject: "muster",
    run,
    parameters: { classes: count, tasks: waiting },
    values,
  });
}

/** The first scheduler's memory; RSS as the load has left it, heap after a collection. */
async function memoryOf(stack: Stack) {
  const left = await stack.schedulers[0]?.usage(false);
  const held = await stack.schedulers[0]?.usage(true);
  return {
    scheduler_rss_mib: (left?.rssBytes ?? Number.NaN) / MIB,
    scheduler_heap_mib: (held?.heapBytes ?? Number.NaN) / MIB,
  };
}

function report(samples: readonly Sample[]): Findings {
  const parts = [
    { part: "drain", title: "in one class and in many, submitted and drained" },
    { part: "deep", title: "waiting in one class and in many, drained for 10 s" },
  ].filter(({ part }) => select(samples, { part }).length > 0);
  return {
    tables: parts.map(({ part, title }) => tableOf(select(samples, { part }), title)),
    targets: [],
    charts: [],
  };
}

function tableOf(samples: readonly Sample[], title: string): Table {
  const tasks = parameterValues(samples, "tasks").at(-1) ?? 0;
  return {
    title: `${tasks.toLocaleString("en-US")} tasks ${title}, median of ${runsOf(samples)} runs`,
    head: ["task classes", "drain/s", "scheduler µs/task", "scheduler's RSS MiB", "its heap MiB"],
    rows: parameterValues(samples, "classes").map((count) => {
      const middle = (value: string) => figure(medianOf(samples, { parameters: { classes: count } }, value));
      return [
        count.toLocaleString("en-US"),
        middle("drain_per_s"),
        middle("scheduler_cpu_us"),
        middle("scheduler_rss_mib"),
        middle("scheduler_heap_mib"),
      ];
    }),
  };
}
