/** Measures the latency from a submit to its result. */
import { setTimeout as delay } from "node:timers/promises";
import { timeBareCalls } from "../bare/bare-calls.ts";
import { monotonicMs } from "../lab/monotonic.ts";
import { quantile } from "../report/statistics.ts";
import type { SystemSpec } from "../systems/catalogue.ts";
import { type Deployment, deploy, MissingPart } from "../systems/deployment.ts";
import { feed } from "../systems/feeder.ts";
import { reportLatency } from "./latency-report.ts";
import type { Context, Measure } from "./measure.ts";
import { drain, PAYLOAD_BYTES } from "./throughput.ts";

/** Which part is measured with which system: a bulk configuration says nothing of an idle system's latency. */
const IDLE_SYSTEMS = ["muster", "graphile-default", "bullmq"];
const LOADED_SYSTEMS = ["muster", "graphile-500", "bullmq"];
const CALLER_SYSTEMS = ["muster", "graphile-default", "pg-boss-work", "bullmq"];

const COUNT = 1_000;
const QUICK_COUNT = 20;

/** Calls to a process that does nothing. */
const BARE_COUNT = 300;

/** Ten milliseconds apart: each task finds the system idle. */
const IDLE = { perSecond: 100, payloadBytes: PAYLOAD_BYTES, clock: "call" } as const;

/** How long the largest rate is looked for, and how long half of it is kept up. */
const LOAD_MS = 8_000;
const QUICK_LOAD_MS = 500;

const CALLER_COUNT = 100;
const CALLERS_MS = 5_000;
const QUICK_CALLERS_MS = 300;

/** Tasks that compile the code first. */
const WARM_UP = 1_000;
const QUICK_WARM_UP = 20;

/** How often the database is asked whether the task has ended. */
const LOOK_EVERY_MS = 0.25;

/**
 * Submit to handler start, between processes, on the clock that all processes of a machine share: the payload
 * carries the moment of the submit. Durable completion is what the system's own tables say, asked again and
 * again by another connection.
 */
export const latency: Measure = {
  name: "latency",
  summary:
    "submit to handler start and to durable completion, idle and at half load; single submits of 100 callers",
  compares: true,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      for (const spec of context.systems) {
        if (context.signal.aborted) return;
        await measureSystem(context, spec, context.firstRun + run);
      }
      if (!context.signal.aborted) await measureBareCalls(context, context.firstRun + run);
    }
  },
  report: reportLatency,
};

async function measureSystem(context: Context, spec: SystemSpec, run: number): Promise<void> {
  const parts = [
    { part: "idle", systems: IDLE_SYSTEMS, measure: idle },
    { part: "loaded", systems: LOADED_SYSTEMS, measure: loaded },
    { part: "callers", systems: CALLER_SYSTEMS, measure: callers },
  ].filter(({ systems }) => systems.includes(spec.key));
  if (parts.length === 0) return;
  let deployment: Deployment;
  try {
    deployment = await deploy(context.lab, spec);
  } catch (error) {
    if (!(error instanceof MissingPart)) throw error;
    context.say(`${spec.label}: skipped, ${error.message}`);
    for (const { part } of parts)
      context.record({ part, subject: spec.key, run, parameters: {}, values: {}, skipped: error.message });
    return;
  }
  await drain(deployment, context.quick ? QUICK_WARM_UP : WARM_UP);
  for (const { part, measure } of parts) {
    if (context.signal.aborted) break;
    const { parameters, values } = await measure(deployment, context.quick);
    const shown = Object.entries(values).map(([name, value]) => `${name} ${value.toFixed(2)}`);
    context.say(`${spec.label}, ${part}: ${shown.join(", ")}`);
    context.record({ part, subject: spec.key, run, parameters, values });
  }
  await deployment.close();
}

/** What of Muster's latency any call between two processes costs here. */
async function measureBareCalls(context: Context, run: number): Promise<void> {
  const count = context.quick ? QUICK_COUNT : BARE_COUNT;
  for (const gapMs of [1_000 / IDLE.perSecond, 0]) {
    const times = await timeBareCalls(context.lab.cleanup, { count, gapMs, payloadBytes: PAYLOAD_BYTES });
    for (const [caller, ms] of Object.entries(times)) {
      const values = quantiles("call", ms);
      context.record({ part: "bare", subject: caller, run, parameters: { gap_ms: gapMs }, values });
    }
  }
}

interface Outcome {
  readonly parameters: Readonly<Record<string, number>>;
  readonly values: Readonly<Record<string, number>>;
}

async function idle(deployment: Deployment, quick: boolean): Promise<Outcome> {
  const { producer, workers, pending } = deployment;
  const count = quick ? QUICK_COUNT : COUNT;
  await begin(deployment);
  await producer.submitAtRate({ ...IDLE, count });
  await finished(deployment, count);
  const starts = await latencies(deployment);
  const ends: number[] = [];
  for (let done = 0; done < count; done++) {
    const startedAt = monotonicMs();
    await producer.submitAtRate({ ...IDLE, count: 1 });
    while ((await startedOf(workers)) < count + done + 1 || (await pending())) await delay(LOOK_EVERY_MS);
    ends.push(monotonicMs() - startedAt);
  }
  await rest(deployment);
  return {
    parameters: { tasks: count },
    values: { ...quantiles("start", starts), ...quantiles("end", ends) },
  };
}

async function loaded(deployment: Deployment, quick: boolean): Promise<Outcome> {
  const windowMs = quick ? QUICK_LOAD_MS : LOAD_MS;
  await begin(deployment);
  const { windows } = await feed(deployment, { windows: 1, windowMs, payloadBytes: PAYLOAD_BYTES, quick });
  const most = windows[0]?.perSecond ?? Number.NaN;
  const perSecond = Math.max(1, Math.floor(most / 2));
  const count = Math.max(1, Math.floor((perSecond * windowMs) / 1_000));
  for (const worker of deployment.workers) await worker.reset();
  await deployment.producer.submitAtRate({ count, perSecond, payloadBytes: PAYLOAD_BYTES, clock: "due" });
  await finished(deployment, count);
  const values = quantiles("start", await latencies(deployment));
  await rest(deployment);
  return { parameters: { tasks: count, callers: 1 }, values: { rate_per_s: perSecond, ...values } };
}

async function callers(deployment: Deployment, quick: boolean): Promise<Outcome> {
  const forMs = quick ? QUICK_CALLERS_MS : CALLERS_MS;
  // The first calls open connections and compile code.
  await deployment.producer.submitFromCallers(CALLER_COUNT, forMs / 5, PAYLOAD_BYTES);
  const cpu = async () => ({
    ...(await deployment.cpu()),
    producerMs: (await deployment.producer.child.usage()).cpuMs,
  });
  const before = await cpu();
  const { count, ms, latenciesMs } = await deployment.producer.submitFromCallers(
    CALLER_COUNT,
    forMs,
    PAYLOAD_BYTES,
  );
  const after = await cpu();
  const micros = (name: keyof typeof after) => ((after[name] - before[name]) * 1_000) / count;
  return {
    parameters: { callers: CALLER_COUNT },
    values: {
      submit_per_s: (count * 1_000) / ms,
      ...quantiles("submit", latenciesMs),
      producer_cpu_us: micros("producerMs"),
      scheduler_cpu_us: micros("schedulerMs"),
      server_cpu_us: micros("serverMs"),
    },
  };
}

async function begin({ workers }: Deployment): Promise<void> {
  for (const worker of workers) await worker.reset();
  await Promise.all(workers.map((worker) => worker.resume()));
}

async function rest({ workers }: Deployment): Promise<void> {
  await Promise.all(workers.map((worker) => worker.pause()));
}

async function startedOf(workers: Deployment["workers"]): Promise<number> {
  const handled = await Promise.all(workers.map((worker) => worker.handled()));
  return handled.reduce((sum, { count }) => sum + count, 0);
}

async function finished({ workers, pending }: Deployment, count: number): Promise<void> {
  while ((await startedOf(workers)) < count) await delay(10);
  while (await pending()) await delay(1);
}

async function latencies({ workers }: Deployment): Promise<number[]> {
  return (await Promise.all(workers.map((worker) => worker.handled(true)))).flatMap(
    ({ latenciesMs }) => latenciesMs,
  );
}

function quantiles(name: string, values: readonly number[]): Record<string, number> {
  return Object.fromEntries(
    [50, 95, 99].map((share) => [`${name}_p${share}_ms`, quantile(values, share / 100)]),
  );
}
