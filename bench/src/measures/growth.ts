/** Measures how the throughput changes with the number of workers and schedulers, and with the size of payloads. */
import type { Sample } from "../report/sample.ts";
import { medianOf, runsOf, select } from "../report/select.ts";
import { type Findings, figure, type Table } from "../report/table.ts";
import { Stack, type StackPlan } from "../workers/stack.ts";
import type { Context, Measure } from "./measure.ts";

const PAYLOAD_BYTES = 100;
const KIB = 1_024;

/** One point of a curve. */
interface Point {
  /** `workers`, `payload` or `schedulers`: the curve. */
  readonly part: string;
  readonly parameters: {
    readonly schedulers: number;
    readonly workers: number;
    readonly payload_bytes: number;
  };
  readonly tasks: number;
  readonly plan: StackPlan;
}

/** Worker processes that fit on two cores; beyond it several workers share a process. */
const MOST_PROCESSES = 4;

/** Slots of all workers together, and as many attempts ahead: the same for every number of workers. */
const SLOTS = 1_024;

/** Tasks of small payload in a drain, and of the first one, which compiles the code. */
const TASKS = 50_000;
const WARM_UP = 10_000;

const WORKERS = [1, 2, 4, 8, 16, 32, 64];
const PAYLOADS = [100, KIB, 16 * KIB, 64 * KIB, 256 * KIB];
const SCHEDULERS = [1, 2];

/** How throughput changes with the numbers of workers and schedulers and with the size of payloads. */
export const growth: Measure = {
  name: "growth",
  summary: "drain rate with 1 to 64 workers, 100 B to 256 KiB of payload, one and two schedulers",
  compares: false,
  run: async (context) => {
    for (let run = 1; run <= context.runs; run++) {
      for (const point of context.quick ? quickPoints() : points()) {
        if (context.signal.aborted) return;
        await measurePoint(context, point, context.firstRun + run);
      }
    }
  },
  report,
};

function points(): Point[] {
  return [
    ...WORKERS.map((workers) => workersPoint(workers, TASKS)),
    ...SCHEDULERS.map((schedulers) => schedulersPoint(schedulers, 4, TASKS)),
    // At most 64 MiB of payload in all.
    ...PAYLOADS.map((bytes) => payloadPoint(bytes, Math.min(TASKS, Math.floor((64 * KIB * KIB) / bytes)))),
  ];
}

function quickPoints(): Point[] {
  return [schedulersPoint(2, 2, 200), payloadPoint(16 * KIB, 20)];
}

function workersPoint(workers: number, tasks: number): Point {
  return {
    part: "workers",
    parameters: { schedulers: 1, workers, payload_bytes: PAYLOAD_BYTES },
    tasks,
    plan: spread(workers),
  };
}

function schedulersPoint(schedulers: number, workers: number, tasks: number): Point {
  return {
    part: "schedulers",
    parameters: { schedulers, workers, payload_bytes: PAYLOAD_BYTES },
    tasks,
    plan: { ...spread(workers), schedulers },
  };
}

function payloadPoint(bytes: number, tasks: number): Point {
  // What waits at a worker is held in its memory.
  const slots = Math.max(16, Math.min(SLOTS, Math.floor((16 * KIB * KIB) / bytes)));
  return {
    part: "payload",
    parameters: { schedulers: 1, workers: 1, payload_bytes: bytes },
    tasks,
    plan: { concurrency: slots, prefetch: slots },
  };
}

function spread(workers: number): StackPlan {
  const processes = Math.min(workers, MOST_PROCESSES);
  const slots = SLOTS / workers;
  return { processes, workersPerProcess: workers / processes, concurrency: slots, prefetch: slots };
}

async function measurePoint(context: Context, point: Point, run: number): Promise<void> {
  const stack = await Stack.start(context.lab, point.plan);
  const bytes = point.parameters.payload_bytes;
  const warmUp = Math.min(WARM_UP, point.tasks);
  await stack.load(warmUp, bytes);
  await stack.drain(warmUp);
  const submit = await stack.load(point.tasks, bytes);
  const drain = await stack.drain(point.tasks);
  await stack.close();
  context.say(
    `${point.part}: ${JSON.stringify(point.parameters)}: submit ${figure(submit)}/s, drain ${figure(drain.drain_per_s)}/s`,
  );
  context.record({
    ...{ part: point.part, subject: "muster", run },
    parameters: { ...point.parameters, tasks: point.tasks },
    values: { ...drain, submit_per_s: submit, drain_mib_per_s: (drain.drain_per_s * bytes) / KIB / KIB },
  });
}

function report(samples: readonly Sample[]): Findings {
  const curves = [
    { part: "workers", title: "Growth with workers (1,024 slots in all)", field: "workers" },
    {
      part: "schedulers",
      title: "One and two schedulers on one database, four workers",
      field: "schedulers",
    },
    { part: "payload", title: "Growth of payloads, one worker", field: "payload_bytes" },
  ];
  const present = curves.filter(({ part }) => select(samples, { part }).length > 0);
  return {
    tables: present.map(({ part, title, field }) => tableOf(select(samples, { part }), title, field)),
    targets: [],
    charts: present
      .filter(({ part }) => part !== "schedulers")
      .map(({ part, title, field }) => ({
        name: `growth-${part}`,
        title,
        kind: "lines",
        x: { field, title: field.replace("_", " "), scale: "log" },
        y: { field: "rate", title: "tasks/s" },
        rows: valuesOf(select(samples, { part }), field).map((value) => ({
          [field]: value,
          rate: Math.round(medianOf(samples, { part, parameters: { [field]: value } }, "drain_per_s")),
        })),
      })),
  };
}

function valuesOf(samples: readonly Sample[], field: string): number[] {
  const values = samples.flatMap(({ parameters }) => parameters[field] ?? []);
  return [...new Set(values)].sort((a, b) => a - b);
}

function tableOf(samples: readonly Sample[], title: string, field: string): Table {
  return {
    title: `${title}, median of ${runsOf(samples)} runs`,
    head: [
      ...[field.replace("_", " "), "submit/s", "drain/s", "MiB/s of payload"],
      ...["workers µs/task", "schedulers µs/task", "database µs/task"],
    ],
    rows: valuesOf(samples, field).map((value) => {
      const middle = (name: string) => figure(medianOf(samples, { parameters: { [field]: value } }, name));
      return [
        value.toLocaleString("en-US"),
        middle("submit_per_s"),
        middle("drain_per_s"),
        middle("drain_mib_per_s"),
        middle("worker_cpu_us"),
        middle("scheduler_cpu_us"),
        middle("server_cpu_us"),
      ];
    }),
  };
}
