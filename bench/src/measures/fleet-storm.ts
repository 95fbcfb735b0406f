/** Measures the reconnects of a whole fleet after a scheduler's restart. */
import { measureStorm } from "../fleet/storm.ts";
import type { Sample } from "../report/sample.ts";
import { isMet, medianOf, parameterValues, runsOf } from "../report/select.ts";
import { type Findings, figure } from "../report/table.ts";
import type { Measure } from "./measure.ts";

const PLAN = { workers: 2_000, producers: 4 };
const QUICK = { workers: 50, producers: 2 };

/** Every worker of a fleet dials a scheduler that has just come back. */
export const fleetStorm: Measure = {
  name: "fleet-storm",
  summary: "2,000 workers, each with a task, come back after the scheduler was killed; submits go on",
  compares: false,
  run: async ({ lab, runs, firstRun, quick, signal, record, say }) => {
    const server = await lab.postgres();
    for (let run = 1; run <= runs && !signal.aborted; run++) {
      const plan = quick ? QUICK : PLAN;
      const { servingMs, allReadyMs, failedDials, rerun, submits } = await measureStorm(
        lab.cleanup,
        server,
        plan,
      );
      say(
        `${plan.workers} workers ready ${figure(allReadyMs)} ms after the kill, ${submits.done} submits, ${submits.failed} failed`,
      );
      const values = {
        serving_ms: servingMs,
        all_ready_ms: allReadyMs,
        all_ready_after_serving_ms: allReadyMs - servingMs,
        failed_dials: failedDials,
        tasks_rerun: rerun,
        submits: submits.done,
        submits_failed: submits.failed,
        submit_retries: submits.retries,
        submits_cut: submits.cut,
        submit_slowest_ms: submits.slowestMs,
      };
      record({
        part: "storm",
        subject: "muster",
        run: firstRun + run,
        parameters: { workers: plan.workers },
        values,
      });
    }
  },
  report,
};

function report(samples: readonly Sample[]): Findings {
  const fleets = parameterValues(samples, "workers");
  if (fleets.length === 0) return { tables: [], targets: [], charts: [] };
  const largest = fleets.at(-1) ?? 0;
  const at = (workers: number, value: string) => medianOf(samples, { parameters: { workers } }, value);
  const worst = (value: string) => Math.max(...samples.map(({ values }) => values[value] ?? Number.NaN));
  return {
    tables: [
      {
        title: `Reconnect storm after the scheduler's death, median of ${runsOf(samples)} runs`,
        head: [
          ...["workers, each with a task", "scheduler serves again s", "all ready s", "after serving s"],
          ...[
            "dials without answer",
            "tasks run twice",
            "submits",
            "failed",
            "tries again",
            "cut",
            "slowest submit s",
          ],
        ],
        rows: fleets.map((workers) => [
          figure(workers),
          figure(at(workers, "serving_ms") / 1_000),
          figure(at(workers, "all_ready_ms") / 1_000),
          figure(at(workers, "all_ready_after_serving_ms") / 1_000),
          figure(at(workers, "failed_dials")),
          figure(at(workers, "tasks_rerun")),
          figure(at(workers, "submits")),
          figure(at(workers, "submits_failed")),
          figure(at(workers, "submit_retries")),
          figure(at(workers, "submits_cut")),
          figure(at(workers, "submit_slowest_ms") / 1_000),
        ]),
      },
    ],
    targets: [
      {
        text: `reconnect storm of ${figure(largest)}: no failed submit, no task run twice`,
        measured: `${worst("submits_failed")} and ${worst("tasks_rerun")}`,
        met: isMet(worst("submits_failed") + worst("tasks_rerun"), (count) => count === 0),
      },
    ],
    charts: [],
  };
}
