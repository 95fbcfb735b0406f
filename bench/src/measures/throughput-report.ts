/** Tables, targets and chart of throughput. */
import type { Sample } from "../report/sample.ts";
import { median } from "../report/statistics.ts";
import { type Chart, type Findings, figure, type Table, type Target } from "../report/table.ts";
import { SYSTEMS } from "../systems/catalogue.ts";

const MUSTER = "muster";

/** Ratios of Muster's drain rate that are aimed at; of several peers the fastest counts. */
const TARGETS = [
  { peers: ["graphile-1000"], of: "graphile-worker's fastest single process (24/1000)", least: 1.5 },
  {
    peers: ["graphile-1000x2", "graphile-500x2"],
    of: "graphile-worker's fastest with two processes",
    least: 1,
  },
  { peers: ["bullmq"], of: "BullMQ", least: 4 },
  { peers: ["floor"], of: "the floor", least: 0.6 },
] as const;

/** Tables, targets and chart of throughput. */
export function reportThroughput(samples: readonly Sample[]): Findings {
  const drains = samples.filter(({ part }) => part === "drain");
  const sizes = [...new Set(drains.map(({ parameters }) => parameters.tasks ?? 0))].sort((a, b) => a - b);
  const full = sizes.filter((tasks) =>
    drains.some((sample) => sample.subject === MUSTER && sample.parameters.tasks === tasks),
  );
  return {
    tables: full.map((tasks) => tableOf(drains, tasks)),
    targets: full.flatMap((tasks) => TARGETS.map((target) => targetOf(drains, tasks, target))),
    charts: full.length > 0 ? [chartOf(drains, full)] : [],
  };
}

/** Samples of a system at a size, or at the largest that a slow configuration was measured with. */
function samplesOf(drains: readonly Sample[], subject: string, tasks: number): readonly Sample[] {
  const own = drains.filter((sample) => sample.subject === subject);
  const exact = own.filter(({ parameters }) => parameters.tasks === tasks);
  if (exact.length > 0) return exact;
  const largest = Math.max(...own.map(({ parameters }) => parameters.tasks ?? 0));
  return own.filter(({ parameters }) => parameters.tasks === largest);
}

function values(samples: readonly Sample[], name: string): number[] {
  return samples.flatMap(({ values: own }) => own[name] ?? []);
}

/** Median over runs of the ratio within each run: what disturbs a run disturbs both sides. */
function ratio(drains: readonly Sample[], subject: string, tasks: number): number {
  const peers = samplesOf(drains, subject, tasks);
  const ratios = samplesOf(drains, MUSTER, tasks).flatMap((own) => {
    const peer = peers.find(({ run }) => run === own.run)?.values.drain_per_s;
    return peer === undefined || own.values.drain_per_s === undefined ? [] : own.values.drain_per_s / peer;
  });
  return median(ratios);
}

function tableOf(drains: readonly Sample[], tasks: number): Table {
  const rows = SYSTEMS.flatMap(({ key, label }) => {
    const own = samplesOf(drains, key, tasks);
    const [first] = own;
    if (first === undefined) return [];
    const skipped = own.find((sample) => sample.skipped !== undefined)?.skipped;
    if (skipped !== undefined) return [[label, `skipped: ${skipped}`, "", "", "", "", "", "", ""]];
    const middle = (name: string) => figure(median(values(own, name)));
    const rates = values(own, "drain_per_s");
    const fewer = first.parameters.tasks === tasks ? "" : ` (${figure(first.parameters.tasks ?? 0)} tasks)`;
    return [
      [
        `${label}${fewer}`,
        middle("submit_per_s"),
        middle("drain_per_s"),
        `${figure(Math.min(...rates))} to ${figure(Math.max(...rates))}`,
        middle("total_per_s"),
        key === MUSTER ? "1" : figure(ratio(drains, key, tasks)),
        middle("worker_cpu_us"),
        middle("scheduler_cpu_us"),
        middle("server_cpu_us"),
      ],
    ];
  });
  const runs = samplesOf(drains, MUSTER, tasks).length;
  return {
    title: `Throughput: ${tasks.toLocaleString("en-US")} tasks of 100 bytes, median of ${runs} runs`,
    head: [
      ...[
        "system",
        "submit/s",
        "drain/s",
        "drain/s, all runs",
        "both/s",
        "Muster drains this many times as fast",
      ],
      ...["worker µs/task", "scheduler µs/task", "database µs/task"],
    ],
    rows,
  };
}

function targetOf(
  drains: readonly Sample[],
  tasks: number,
  { peers, of, least }: (typeof TARGETS)[number],
): Target {
  const ratios = peers.map((peer) => ratio(drains, peer, tasks)).filter((value) => Number.isFinite(value));
  const measured = ratios.length > 0 ? Math.min(...ratios) : undefined;
  return {
    text: `drain of ${tasks.toLocaleString("en-US")}: at least ${least} of ${of}`,
    measured: measured === undefined ? undefined : figure(measured),
    met: measured === undefined ? undefined : measured >= least,
  };
}

function chartOf(drains: readonly Sample[], sizes: readonly number[]): Chart {
  return {
    name: "throughput",
    title: "Drain rate, trivial tasks of 100 bytes",
    kind: "bars",
    x: { field: "rate", title: "tasks/s" },
    y: { field: "system", title: "" },
    series: "tasks",
    rows: sizes.flatMap((tasks) =>
      SYSTEMS.flatMap(({ key, label }) => {
        const rate = median(values(samplesOf(drains, key, tasks), "drain_per_s"));
        return Number.isFinite(rate)
          ? [{ system: label, tasks: tasks.toLocaleString("en-US"), rate: Math.round(rate) }]
          : [];
      }),
    ),
  };
}
