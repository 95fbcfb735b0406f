/** Measures the loss of many workers at once. */
import { type LossPlan, type LossResult, measureLoss } from "../fleet/loss.ts";
import type { Sample } from "../report/sample.ts";
import { medianOf, runsOf, select, subjects } from "../report/select.ts";
import { type Findings, figure } from "../report/table.ts";
import type { Measure } from "./measure.ts";

const WORKERS = 500;
const QUICK_WORKERS = 20;
const QUICK_TIMINGS = { heartbeatMs: 200, leaseMs: 800, graceMs: 400 };

const HOW: readonly LossPlan["how"][] = ["killed", "cut off"];

/** Workers that vanish together while each holds a task. */
export const fleetLoss: Measure = {
  name: "fleet-loss",
  summary: "time to notice that 500 workers vanished at once and to give their tasks to others",
  compares: false,
  run: async ({ lab, runs, firstRun, quick, signal, record, say }) => {
    const server = await lab.postgres();
    for (let run = 1; run <= runs; run++) {
      for (const how of HOW) {
        if (signal.aborted) return;
        const plan = quick
          ? { workers: QUICK_WORKERS, how, timings: QUICK_TIMINGS }
          : { workers: WORKERS, how };
        const result = await measureLoss(lab.cleanup, server, plan);
        const values = toValues(result);
        say(
          `${plan.workers} workers ${how}: all tasks run elsewhere after ${figure(values.accepted_last_ms)} ms`,
        );
        const parameters = { workers: plan.workers, allowed_ms: result.allowedMs };
        record({ part: "loss", subject: how, run: firstRun + run, parameters, values });
      }
    }
  },
  report,
};

function toValues({ suspectMs, requeuedMs, acceptedMs }: LossResult) {
  return {
    ...(suspectMs ? { suspect_first_ms: suspectMs.first, suspect_last_ms: suspectMs.last } : {}),
    requeued_first_ms: requeuedMs.first,
    requeued_last_ms: requeuedMs.last,
    accepted_last_ms: acceptedMs.last,
  };
}

function report(samples: readonly Sample[]): Findings {
  const rows = subjects(samples).map((subject) => {
    const middle = (value: string) => medianOf(samples, { subject }, value);
    const parameters: Sample["parameters"] = select(samples, { subject })[0]?.parameters ?? {};
    return [
      `${figure(parameters.workers ?? 0)} workers ${subject}`,
      figure((parameters.allowed_ms ?? 0) / 1_000),
      figure(middle("suspect_last_ms") / 1_000),
      figure(middle("requeued_first_ms") / 1_000),
      figure(middle("requeued_last_ms") / 1_000),
      figure(middle("accepted_last_ms") / 1_000),
    ];
  });
  if (rows.length === 0) return { tables: [], targets: [], charts: [] };
  return {
    tables: [
      {
        title: `Workers that vanish at once, each with a task; seconds since then, median of ${runsOf(samples)} runs`,
        head: [
          ...["what happened", "trusted for (settings)", "last one suspect", "first task requeued"],
          ...["last task requeued", "last task accepted by another worker"],
        ],
        rows,
      },
    ],
    targets: [],
    charts: [],
  };
}
