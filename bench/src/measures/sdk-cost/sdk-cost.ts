/** Measures what the SDK's parts cost a task, each switched on and off. */
import { setTimeout as delay } from "node:timers/promises";
import { startTraceSink, type TraceSink } from "../../lab/trace-sink.ts";
import { coreShare } from "../../measured/usage.ts";
import { figure } from "../../report/table.ts";
import { Stack } from "../../workers/stack.ts";
import { WorkerProcess } from "../../workers/workers.ts";
import type { Context, Measure } from "../measure.ts";
import { reportSdkCost } from "./report.ts";
import { VARIANTS, type Variant } from "./variants.ts";

const PAYLOAD_BYTES = 100;
const MIB = 1_048_576;

/** Tasks of a drain, and of the first one, which compiles the code. */
const TASKS = 50_000;
const WARM_UP = 5_000;
const QUICK_TASKS = 200;

/** How long an idle worker is watched, milliseconds: four heartbeat intervals. */
const REST_MS = 20_000;
const QUICK_REST_MS = 300;

/** Interval of the explanations that are asked for during the drain, milliseconds. */
const ASK_EVERY_MS = 50;

/** Of the smoke test: one of each kind. */
const QUICK_VARIANTS: ReadonlySet<string> = new Set(["no-events", "explain", "tracing"]);

/** Slow ones are measured on fewer tasks. */
const FEWER: Readonly<Record<string, number>> = { phases: 2, progress: 2, "slots-10": 5, "slots-1": 25 };

/** What the SDK and what is recorded cost, a task and at rest. */
export const sdkCost: Measure = {
  name: "sdk-cost",
  summary: "processor time a task in the worker, cost of events, explanations and tracing, a worker at rest",
  compares: false,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      if (context.signal.aborted) return;
      await measureRest(context, context.firstRun + run);
      for (const variant of context.quick
        ? VARIANTS.filter(({ key }) => QUICK_VARIANTS.has(key))
        : VARIANTS) {
        if (context.signal.aborted) return;
        await measureVariant(context, variant, context.firstRun + run);
      }
    }
  },
  report: reportSdkCost,
};

async function measureVariant(context: Context, variant: Variant, run: number): Promise<void> {
  const tasks = context.quick ? QUICK_TASKS : Math.round(TASKS / (FEWER[variant.key] ?? 1));
  const base = { part: "drain", subject: variant.key, run, parameters: { tasks } };
  const sink = variant.tracing ? await startTraceSink(context.lab.cleanup) : undefined;
  const stack = await Stack.start(context.lab, { ...variant.plan, env: sink ? tracingTo(sink) : {} });
  const warmUp = context.quick ? QUICK_TASKS : Math.min(WARM_UP, tasks);
  await stack.load(warmUp, PAYLOAD_BYTES);
  await stack.drain(warmUp);
  await stack.load(tasks, PAYLOAD_BYTES);
  const stop = new AbortController();
  const asking = variant.explain ? askForExplanations(stack, stop.signal) : Promise.resolve(0);
  const watching = variant.watch ? followEvents(stack, stop.signal) : Promise.resolve(0);
  const values = await stack.drain(tasks);
  stop.abort();
  const [asked, seen] = await Promise.all([asking, watching]);
  await stack.close();
  const exports = sink?.exports() ?? 0;
  await sink?.close();
  if (sink && exports === 0) throw new Error("tracing was measured, but no span was exported");
  context.say(
    `${variant.label}: ${figure(values.drain_per_s)}/s, worker ${figure(values.worker_cpu_us)} us a task, scheduler ${figure(values.scheduler_cpu_us)} us${asked ? `, ${asked} explanations` : ""}${seen ? `, ${seen} events` : ""}${exports ? `, ${exports} exports` : ""}`,
  );
  context.record({ ...base, values: { ...values, explanations: asked, events_seen: seen } });
}

/** Sampling is the producer's, as the standard's default has it. */
function tracingTo(sink: TraceSink): Record<string, string> {
  return {
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: sink.url,
    OTEL_EXPORTER_OTLP_PROTOCOL: "http/protobuf",
    OTEL_TRACES_SAMPLER: "parentbased_always_on",
  };
}

/** Asks for explanations of a task, as dashboards do; returns how many it got. */
async function askForExplanations(stack: Stack, signal: AbortSignal): Promise<number> {
  const { tasks } = await stack.client.tasks.listTasks({ pageSize: 100 });
  let asked = 0;
  while (!signal.aborted) {
    const task = tasks[asked % tasks.length];
    if (task) await stack.client.tasks.explainTask({ taskId: task.id });
    asked++;
    await delay(ASK_EVERY_MS);
  }
  return asked;
}

/** Follows the feed; answers how many events came. */
async function followEvents(stack: Stack, signal: AbortSignal): Promise<number> {
  let seen = 0;
  try {
    for await (const { events } of stack.client.fleet.watchEvents({}, { signal })) seen += events.length;
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return seen;
}

/** A worker that has nothing to do, against the process without a worker. */
async function measureRest(context: Context, run: number): Promise<void> {
  const restMs = context.quick ? QUICK_REST_MS : REST_MS;
  const stack = await Stack.start(context.lab, { processes: 0 });
  const worker = WorkerProcess.start(context.lab.cleanup);
  const watch = async (subject: string) => {
    // What starting made garbage of is gone, and the process has come to rest.
    await worker.usage(true);
    await delay(restMs / 10);
    const before = await worker.usage(false);
    await delay(restMs);
    const after = await worker.usage(false);
    const held = await worker.usage(true);
    const values = {
      core_ratio: coreShare(before, after),
      heap_mib: held.heapBytes / MIB,
      rss_mib: held.rssBytes / MIB,
    };
    context.say(`${subject}: ${figure(values.core_ratio * 100)} % of a core, ${figure(values.rss_mib)} MiB`);
    context.record({ part: "rest", subject, run, parameters: {}, values });
  };
  await watch("Node alone");
  await worker.open({
    ...{ workers: 1, address: stack.addresses[0] ?? "", types: ["noop"], handler: "noop" },
    ...{ concurrency: 1, prefetch: 0 },
  });
  await watch("with an idle worker");
  await worker.stop();
  await stack.close();
}
