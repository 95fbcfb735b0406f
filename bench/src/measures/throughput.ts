/** Measures how many tasks a second are submitted and worked off. */
import { setTimeout as delay } from "node:timers/promises";
import { monotonicMs } from "../lab/monotonic.ts";
import type { SystemSpec } from "../systems/catalogue.ts";
import { type Deployment, deploy, MissingPart } from "../systems/deployment.ts";
import type { Context, Measure } from "./measure.ts";
import { reportThroughput } from "./throughput-report.ts";

/** Bytes of JSON in every payload. */
export const PAYLOAD_BYTES = 100;

const SIZES = [20_000, 100_000];
const QUICK_SIZES = [500];

/**
 * Tasks that every system runs first in the same processes: compiled code and filled pools, as after a minute of
 * service. After 20,000 Muster's scheduler still spent half as much again on a task as after 100,000.
 */
const WARM_UP = 100_000;
const QUICK_WARM_UP = 50;

/** How often the bench looks whether all handlers have begun, and then whether all results are durable. */
const LOOK_EVERY_MS = 5;
const LOOK_AGAIN_MS = 1;

/**
 * Tasks are submitted while no worker takes any, then drained. The clock of the drain runs from the first
 * handler's start, which leaves out how long a system takes to begin, to the moment at which the database holds
 * no task that has not ended.
 */
export const throughput: Measure = {
  name: "throughput",
  summary: "submit and drain rate of 20,000 and 100,000 trivial tasks, against the peers and the floor",
  compares: true,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      for (const spec of context.systems) {
        if (context.signal.aborted) return;
        await measureSystem(context, spec, context.firstRun + run);
      }
    }
  },
  report: reportThroughput,
};

async function measureSystem(context: Context, spec: SystemSpec, run: number): Promise<void> {
  const sizes = context.quick ? QUICK_SIZES : sizesFor(spec);
  const base = { part: "drain", subject: spec.key, run };
  let deployment: Deployment;
  try {
    deployment = await deploy(context.lab, spec, { execArgv: profiling(context, spec) });
  } catch (error) {
    if (!(error instanceof MissingPart)) throw error;
    context.say(`${spec.label}: skipped, ${error.message}`);
    for (const tasks of sizes)
      context.record({ ...base, parameters: { tasks }, values: {}, skipped: error.message });
    return;
  }
  const wanted = context.warmUp ?? (context.quick ? QUICK_WARM_UP : WARM_UP);
  const warmUp = Math.min(wanted, spec.taskLimit ?? wanted);
  await drain(deployment, warmUp);
  for (const tasks of sizes) {
    const values = await drain(deployment, tasks);
    context.say(
      `${spec.label}, ${tasks} tasks: submit ${values.submit_per_s.toFixed(0)}/s, drain ${values.drain_per_s.toFixed(0)}/s`,
    );
    context.record({ ...base, parameters: { tasks }, values });
  }
  await checkAll(deployment, spec, warmUp + sizes.reduce((sum, tasks) => sum + tasks, 0));
  await deployment.close();
}

function profiling({ profile }: Context, { driver }: SystemSpec): readonly string[] {
  return profile === undefined || driver === "bullmq" ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
}

function sizesFor({ taskLimit = Number.POSITIVE_INFINITY }: SystemSpec): readonly number[] {
  const sizes = SIZES.filter((tasks) => tasks <= taskLimit);
  return sizes.length > 0 ? sizes : [taskLimit];
}

/** Submits, lets the machine settle, drains. */
export async function drain(deployment: Deployment, tasks: number) {
  const { producer, workers } = deployment;
  const { ms: submitMs } = await producer.submit(tasks, PAYLOAD_BYTES);
  await deployment.settle();
  for (const worker of workers) await worker.reset();
  const before = await deployment.cpu();
  await Promise.all(workers.map((worker) => worker.resume()));
  const { firstAt, endAt } = await drained(deployment, tasks);
  const after = await deployment.cpu();
  await Promise.all(workers.map((worker) => worker.pause()));
  const drainMs = endAt - firstAt;
  return {
    submit_per_s: (tasks * 1_000) / submitMs,
    drain_per_s: (tasks * 1_000) / drainMs,
    total_per_s: (tasks * 1_000) / (submitMs + drainMs),
    worker_cpu_us: ((after.workersMs - before.workersMs) * 1_000) / tasks,
    scheduler_cpu_us: ((after.schedulerMs - before.schedulerMs) * 1_000) / tasks,
    server_cpu_us: ((after.serverMs - before.serverMs) * 1_000) / tasks,
  };
}

async function drained({ workers, pending }: Deployment, tasks: number) {
  for (;;) {
    const handled = await Promise.all(workers.map((worker) => worker.handled()));
    if (handled.reduce((sum, { count }) => sum + count, 0) >= tasks) {
      const firsts = handled.filter(({ count }) => count > 0).map(({ firstAt }) => firstAt);
      while (await pending()) await delay(LOOK_AGAIN_MS);
      return { firstAt: Math.min(...firsts), endAt: monotonicMs() };
    }
    await delay(LOOK_EVERY_MS);
  }
}

/** A fast system that loses tasks is no system. */
async function checkAll(deployment: Deployment, spec: SystemSpec, tasks: number): Promise<void> {
  const succeeded = await deployment.succeeded();
  if (succeeded !== tasks) {
    throw new Error(
      `${spec.label}: ${tasks} tasks were submitted and ${succeeded} have succeeded by its own records`,
    );
  }
}
