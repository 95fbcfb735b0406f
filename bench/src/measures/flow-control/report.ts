/** Table and targets of the measure of flow control. */
import type { Sample } from "../../report/sample.ts";
import { isMet, medianOf, parameterValues, runsOf, select } from "../../report/select.ts";
import { median } from "../../report/statistics.ts";
import { type Findings, figure } from "../../report/table.ts";
import { CASES } from "./cases.ts";

const [BASE] = CASES;

export function reportFlowControl(samples: readonly Sample[]): Findings {
  const measured = CASES.filter(({ key }) => select(samples, { subject: key }).length > 0);
  if (measured.length === 0) return { tables: [], targets: [], charts: [] };
  const tasks = parameterValues(samples, "tasks").at(-1) ?? 0;
  return {
    tables: [
      {
        title: `What flow control costs, ${tasks.toLocaleString("en-US")} tasks, median of ${runsOf(samples)} runs`,
        head: [
          ...["tasks with", "submit/s", "drain/s", "of the first row's"],
          ...["scheduler µs/task", "database µs/task", "both, of the first row's"],
        ],
        rows: measured.map(({ key, label }) => {
          const middle = (name: string) => figure(medianOf(samples, { subject: key }, name));
          return [
            ...[label, middle("submit_per_s"), middle("drain_per_s"), figure(ratio(samples, key, rate))],
            middle("scheduler_cpu_us"),
            middle("server_cpu_us"),
            figure(ratio(samples, key, cpu)),
          ];
        }),
      },
    ],
    targets: measured.flatMap(({ key, label, least }) => {
      if (least === undefined) return [];
      const share = ratio(samples, key, rate);
      return {
        text: `${label}: at least ${least} of the drain rate without`,
        measured: Number.isFinite(share) ? figure(share) : undefined,
        met: isMet(share, (value) => value >= least),
      };
    }),
    charts: [],
  };
}

function rate({ values }: Sample): number {
  return values.drain_per_s ?? Number.NaN;
}

function cpu({ values }: Sample): number {
  return (values.scheduler_cpu_us ?? Number.NaN) + (values.server_cpu_us ?? Number.NaN);
}

/** Median over runs of the ratio to the first case within each run. */
function ratio(samples: readonly Sample[], subject: string, of: (sample: Sample) => number): number {
  return median(
    select(samples, { subject }).flatMap((sample) => {
      const base = select(samples, { subject: BASE.key }).find(({ run }) => run === sample.run);
      const value = base === undefined ? Number.NaN : of(sample) / of(base);
      return Number.isFinite(value) ? [value] : [];
    }),
  );
}
