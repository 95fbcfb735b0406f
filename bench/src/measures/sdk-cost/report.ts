/** Tables and targets of what the SDK costs. */
import type { Sample } from "../../report/sample.ts";
import { isMet, medianOf, runsOf, select, subjects } from "../../report/select.ts";
import { median } from "../../report/statistics.ts";
import { type Findings, figure, type Table, type Target } from "../../report/table.ts";
import { VARIANTS } from "./variants.ts";

/** What a switch may cost: the other side of it within 15 %. */
const WITHIN = 0.15;

/** Switches with a target; the ratio is the drain rate with more recorded to that with less. */
const SWITCHES = [
  { text: "events on to off", on: "usual", off: "no-events" },
  { text: "explanations asked for to not", on: "explain", off: "usual" },
  { text: "tracing at 1 % to off", on: "tracing", off: "usual" },
] as const;

/** Tables and targets of the SDK's cost. */
export function reportSdkCost(samples: readonly Sample[]): Findings {
  const drains = select(samples, { part: "drain" });
  if (drains.length === 0) return { tables: [], targets: [], charts: [] };
  return { tables: [drainTable(drains), restTable(samples)], targets: targetsOf(drains), charts: [] };
}

function drainTable(drains: readonly Sample[]): Table {
  return {
    title: `What a task costs, median of ${runsOf(drains)} runs`,
    head: [
      ...["variant", "drain/s", "of the first row's", "worker µs/task"],
      ...["scheduler µs/task", "database µs/task"],
    ],
    rows: VARIANTS.flatMap(({ key, label }) => {
      const [first] = select(drains, { subject: key });
      if (!first) return [];
      if (first.skipped !== undefined) return [[label, `skipped: ${first.skipped}`, "", "", "", ""]];
      const middle = (value: string) => figure(medianOf(drains, { subject: key }, value));
      return [
        [
          label,
          middle("drain_per_s"),
          figure(ratio(drains, key, "usual")),
          middle("worker_cpu_us"),
          middle("scheduler_cpu_us"),
          middle("server_cpu_us"),
        ],
      ];
    }),
  };
}

function restTable(samples: readonly Sample[]): Table {
  const rest = select(samples, { part: "rest" });
  return {
    title: `A worker process at rest, median of ${runsOf(rest)} runs`,
    head: ["process", "% of a core", "heap of the main thread MiB", "RSS MiB"],
    rows: subjects(rest).map((subject) => [
      subject,
      figure(medianOf(rest, { subject }, "core_ratio") * 100),
      figure(medianOf(rest, { subject }, "heap_mib")),
      figure(medianOf(rest, { subject }, "rss_mib")),
    ]),
  };
}

function targetsOf(drains: readonly Sample[]): Target[] {
  return SWITCHES.map(({ text, on, off }) => {
    const measured = ratio(drains, on, off);
    return {
      text: `${text}: rates within 15 % of each other`,
      measured: Number.isFinite(measured) ? figure(measured) : undefined,
      met: isMet(measured, (share) => Math.abs(1 - share) <= WITHIN),
    };
  });
}

/** Median over runs of the ratio within each run. */
function ratio(drains: readonly Sample[], on: string, off: string): number {
  return median(
    select(drains, { subject: on }).flatMap(({ run, values }) => {
      const other = select(drains, { subject: off }).find((sample) => sample.run === run)?.values.drain_per_s;
      return values.drain_per_s === undefined || other === undefined ? [] : values.drain_per_s / other;
    }),
  );
}
