/** Measures what idle workers cost the scheduler. */
import { type IdlePlan, type IdleResult, measureBareFleet, measureIdleFleet } from "../fleet/idle.ts";
import type { Sample } from "../report/sample.ts";
import { isMet, medianOf, parameterValues, runsOf, subjects } from "../report/select.ts";
import { type Findings, figure, type Target } from "../report/table.ts";
import type { Context, Measure } from "./measure.ts";

const MUSTER = "muster";
const BARE = "bare grpc-js";
const KIB = 1_024;

/** A window of three heartbeat intervals, so that each worker counts alike. */
const PLAN: IdlePlan = { steps: [1_000, 5_000], heartbeatMs: 5_000, windowMs: 15_000 };
const QUICK: IdlePlan = { steps: [50], heartbeatMs: 500, windowMs: 500 };

/** Idle workers: what one scheduler pays to hold them, and what a bare grpc-js server pays for the same streams. */
export const fleetIdle: Measure = {
  name: "fleet-idle",
  summary: "memory and processor time of one scheduler with up to 5,000 idle workers, against bare streams",
  compares: false,
  run: async (context) => {
    const plan = context.quick ? QUICK : PLAN;
    for (let run = 1; run <= context.runs && !context.signal.aborted; run++) {
      const at = context.firstRun + run;
      record(context, at, await measureBareFleet(context.lab.cleanup, plan));
      const server = await context.lab.postgres();
      record(context, at, await measureIdleFleet(context.lab.cleanup, server, plan));
    }
  },
  report,
};

function record(context: Context, run: number, { server, steps }: IdleResult): void {
  const [empty, ...others] = steps;
  if (!empty) return;
  for (const step of others) {
    const each = (what: "heapBytes" | "externalBytes" | "rssBytes") =>
      (step[what] - empty[what]) / KIB / step.workers;
    const values = {
      heap_per_worker_kib: each("heapBytes"),
      external_per_worker_kib: each("externalBytes"),
      rss_per_worker_kib: each("rssBytes"),
      heap_kib: step.heapBytes / KIB,
      rss_kib: step.rssBytes / KIB,
      server_core_ratio: step.serverCores,
      postgres_core_ratio: step.postgresCores,
      beats_per_s: step.beatsPerSecond,
      slowest_ack_ms: step.slowestAckMs,
    };
    context.say(
      `${server}, ${step.workers} workers: ${figure(values.heap_per_worker_kib)} KiB of heap each, ${figure(step.serverCores * 100)} % of a core`,
    );
    context.record({ part: "idle", subject: server, run, parameters: { workers: step.workers }, values });
  }
}

function report(samples: readonly Sample[]): Findings {
  const fleets = parameterValues(samples, "workers");
  const rows = subjects(samples).flatMap((subject) =>
    fleets.map((workers) => {
      const middle = (value: string) => medianOf(samples, { subject, parameters: { workers } }, value);
      return [
        `${subject}, ${workers.toLocaleString("en-US")} workers`,
        figure(middle("heap_per_worker_kib")),
        figure(middle("external_per_worker_kib")),
        figure(middle("rss_per_worker_kib")),
        figure(middle("rss_kib") / KIB),
        figure(middle("server_core_ratio") * 100),
        figure(middle("postgres_core_ratio") * 100),
        figure(middle("beats_per_s")),
      ];
    }),
  );
  if (rows.length === 0) return { tables: [], targets: [], charts: [] };
  return {
    tables: [
      {
        title: `Idle workers with a heartbeat every 5 s, median of ${runsOf(samples)} runs`,
        head: [
          ...["server", "heap KiB each", "buffers KiB each", "RSS KiB each", "RSS MiB in all"],
          ...["% of a core", "PostgreSQL % of a core", "heartbeats/s"],
        ],
        rows,
      },
    ],
    targets: targetsOf(samples, fleets.at(-1) ?? 0),
    charts: [],
  };
}

function targetsOf(samples: readonly Sample[], workers: number): Target[] {
  const at = (subject: string, value: string) =>
    medianOf(samples, { subject, parameters: { workers } }, value);
  const above = at(MUSTER, "heap_per_worker_kib") - at(BARE, "heap_per_worker_kib");
  const cores = at(MUSTER, "server_core_ratio");
  return [
    {
      text: "an idle worker's heap above a bare stream's: at most 20 KiB",
      measured: `${figure(above)} KiB`,
      met: isMet(above, (kib) => kib <= 20),
    },
    {
      text: `${workers.toLocaleString("en-US")} idle workers: less than a quarter of one core`,
      measured: `${figure(cores * 100)} %`,
      met: isMet(cores, (share) => share < 0.25),
    },
  ];
}
