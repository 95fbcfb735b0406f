/** Measures whether the throughput lasts while tasks are submitted and worked off. */
import type { Sample } from "../report/sample.ts";
import { median } from "../report/statistics.ts";
import { type Chart, type Findings, figure, type Table, type Target } from "../report/table.ts";
import { SYSTEMS } from "../systems/catalogue.ts";
import { deploy } from "../systems/deployment.ts";
import { feed } from "../systems/feeder.ts";
import type { Measure } from "./measure.ts";
import { PAYLOAD_BYTES } from "./throughput.ts";

const WINDOWS = 10;
const WINDOW_MS = 5_000;
const QUICK_WINDOWS = 2;
const QUICK_WINDOW_MS = 500;

/** The last window is at least this share of the first. */
const LEAST = 0.85;

const SUBJECTS = ["muster", "floor", "graphile-1000"];

/** Of the smoke test. */
const QUICK_SUBJECTS = ["muster"];

/** A producer keeps the queue fed while workers drain it: does the rate last? */
export const sustained: Measure = {
  name: "sustained",
  summary: "rate over ten windows of 5 s while a producer keeps the queue fed",
  compares: true,
  run: async (context) => {
    const windowMs = context.quick ? QUICK_WINDOW_MS : WINDOW_MS;
    const count = context.quick ? QUICK_WINDOWS : WINDOWS;
    const subjects = context.quick ? QUICK_SUBJECTS : SUBJECTS;
    for (let run = 1; run <= context.runs; run++) {
      for (const spec of context.systems.filter(({ key }) => subjects.includes(key))) {
        if (context.signal.aborted) return;
        const deployment = await deploy(context.lab, spec);
        for (const worker of deployment.workers) await worker.reset();
        await Promise.all(deployment.workers.map((worker) => worker.resume()));
        const { windows, submitted } = await feed(deployment, {
          ...{ windows: count, windowMs, payloadBytes: PAYLOAD_BYTES, quick: context.quick },
        });
        const succeeded = await deployment.succeeded();
        if (succeeded !== submitted)
          throw new Error(`${spec.label}: ${submitted} tasks were submitted and ${succeeded} have succeeded`);
        const rates = windows.map(({ perSecond }) => perSecond);
        context.say(`${spec.label}: ${rates.map((rate) => rate.toFixed(0)).join(" ")} tasks/s`);
        context.record({
          part: "windows",
          subject: spec.key,
          run: context.firstRun + run,
          parameters: { windows: count, window_ms: windowMs },
          values: Object.fromEntries(rates.map((rate, index) => [`window_${index + 1}_per_s`, rate])),
        });
        await deployment.close();
      }
    }
  },
  report: (samples) => {
    const measured = SYSTEMS.filter(({ key }) => samples.some(({ subject }) => subject === key));
    return {
      tables: measured.length > 0 ? [tableOf(samples)] : [],
      targets: targetsOf(samples),
      charts: measured.length > 0 ? [chartOf(samples)] : [],
    } satisfies Findings;
  },
};

/** Medians of each window over the runs. */
function rates(samples: readonly Sample[], subject: string): readonly number[] {
  const own = samples.filter((sample) => sample.subject === subject);
  const names = Object.keys(own[0]?.values ?? {});
  return names.map((name) => median(own.flatMap(({ values }) => values[name] ?? [])));
}

/** Median over the runs of the last window's rate by the first one's. */
function lastByFirst(samples: readonly Sample[], subject: string): number {
  return median(
    samples
      .filter((sample) => sample.subject === subject)
      .map(({ values, parameters }) => {
        const [first = Number.NaN, last = Number.NaN] = [
          values.window_1_per_s,
          values[`window_${parameters.windows}_per_s`],
        ];
        return last / first;
      }),
  );
}

function tableOf(samples: readonly Sample[]): Table {
  const windows = samples[0]?.parameters.windows ?? 0;
  const seconds = (samples[0]?.parameters.window_ms ?? 0) / 1_000;
  return {
    title: `Sustained: tasks/s submitted and drained at once, windows of ${seconds} s, medians`,
    head: ["system", ...Array.from({ length: windows }, (_, index) => String(index + 1)), "last by first"],
    rows: SYSTEMS.flatMap(({ key, label }) => {
      const own = rates(samples, key);
      return own.length > 0 ? [[label, ...own.map(figure), figure(lastByFirst(samples, key))]] : [];
    }),
  };
}

function targetsOf(samples: readonly Sample[]): Target[] {
  const measured = lastByFirst(samples, "muster");
  if (!Number.isFinite(measured)) return [];
  return [
    {
      text: `the last window at least ${LEAST} of the first`,
      measured: figure(measured),
      met: measured >= LEAST,
    },
  ];
}

function chartOf(samples: readonly Sample[]): Chart {
  const seconds = (samples[0]?.parameters.window_ms ?? 0) / 1_000;
  return {
    name: "sustained",
    title: "Submitted and drained at once",
    kind: "lines",
    x: { field: "second", title: "seconds" },
    y: { field: "rate", title: "tasks/s" },
    series: "system",
    rows: SYSTEMS.flatMap(({ key, label }) =>
      rates(samples, key).map((rate, index) => ({ system: label, second: (index + 1) * seconds, rate })),
    ),
  };
}
