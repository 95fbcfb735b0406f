import type { Caller } from "../bare/bare-calls.ts";
import type { Sample } from "../report/sample.ts";
import { median } from "../report/statistics.ts";
import { type Chart, type Findings, figure, type Table, type Target } from "../report/table.ts";
import { SYSTEMS } from "../systems/catalogue.ts";

/** Tables, targets and chart of latency. */
export function reportLatency(samples: readonly Sample[]): Findings {
  return {
    tables: [
      table(samples, "idle", "Latency on an idle system, 1,000 tasks one at a time, ms", [
        ...columns("start", "to handler start"),
        ...columns("end", "to durable completion"),
      ]),
      table(samples, "loaded", "Latency at half of each system's largest rate, ms", [
        { name: "rate_per_s", title: "tasks/s" },
        ...columns("start", "to handler start"),
      ]),
      table(samples, "callers", "Single submits of 100 callers at once, ms", [
        { name: "submit_per_s", title: "submits/s" },
        ...columns("submit", "a call"),
        { name: "producer_cpu_us", title: "producer µs/call" },
        { name: "scheduler_cpu_us", title: "scheduler µs/call" },
        { name: "server_cpu_us", title: "database µs/call" },
      ]),
      bareTable(samples),
    ].filter(({ rows }) => rows.length > 0),
    targets: targetsOf(samples),
    charts: chartOf(samples),
  };
}

interface Column {
  readonly name: string;
  readonly title: string;
}

function columns(name: string, title: string): Column[] {
  return [50, 95, 99].map((share) => ({ name: `${name}_p${share}_ms`, title: `${title} p${share}` }));
}

function of(samples: readonly Sample[], part: string, subject: string): readonly Sample[] {
  return samples.filter((sample) => sample.part === part && sample.subject === subject);
}

/** Median over the runs. */
function middle(samples: readonly Sample[], part: string, subject: string, name: string): number {
  return median(of(samples, part, subject).flatMap(({ values }) => values[name] ?? []));
}

function table(samples: readonly Sample[], part: string, title: string, shown: readonly Column[]): Table {
  return {
    title: `${title}, medians of ${of(samples, part, "muster").length} runs`,
    head: ["system", ...shown.map((column) => column.title)],
    rows: SYSTEMS.flatMap(({ key, label }) => {
      const own = of(samples, part, key);
      if (own.length === 0) return [];
      const skipped = own.find((sample) => sample.skipped !== undefined)?.skipped;
      if (skipped !== undefined) return [[label, `skipped: ${skipped}`, ...shown.slice(1).map(() => "")]];
      return [[label, ...shown.map(({ name }) => figure(middle(samples, part, key, name)))]];
    }),
  };
}

const CALLERS: readonly { readonly caller: Caller; readonly label: string }[] = [
  { caller: "tcp", label: "bytes, echoed over TCP" },
  { caller: "grpc-js", label: "SubmitTasks by grpc-js" },
  { caller: "sdk", label: "SubmitTasks by the SDK's client (connect-node)" },
  { caller: "sdk-stream", label: "a submit of the SDK's client, on its stream" },
];

/** Calls to a process that does nothing. */
function bareTable(samples: readonly Sample[]): Table {
  const of = (caller: Caller, idle: boolean) =>
    samples.filter(
      ({ part, subject, parameters }) =>
        part === "bare" && subject === caller && (parameters.gap_ms ?? 0) > 0 === idle,
    );
  const shown = (caller: Caller, idle: boolean, name: string) =>
    figure(median(of(caller, idle).flatMap(({ values }) => values[name] ?? [])));
  return {
    title: `A call that does nothing, between two processes, there and back, ms, medians of ${of("sdk", true).length} runs`,
    head: ["call", "10 ms apart p50", "p95", "one after the other p50", "p95"],
    rows: CALLERS.filter(({ caller }) => of(caller, true).length > 0).map(({ caller, label }) => [
      label,
      ...[true, false].flatMap((idle) =>
        ["call_p50_ms", "call_p95_ms"].map((name) => shown(caller, idle, name)),
      ),
    ]),
  };
}

function targetsOf(samples: readonly Sample[]): Target[] {
  const start = (subject: string, share: number) => middle(samples, "idle", subject, `start_p${share}_ms`);
  const byGraphile = start("muster", 50) / start("graphile-default", 50);
  const tail = 2 * start("muster", 50) + 5;
  const singles =
    middle(samples, "callers", "muster", "submit_per_s") /
    middle(samples, "callers", "pg-boss-work", "submit_per_s");
  return [
    target(
      "submit to handler start, p50: at most 0.7 of graphile-worker's default",
      byGraphile,
      byGraphile <= 0.7,
    ),
    {
      ...target(
        `submit to handler start, p99: below twice its p50 plus 5 ms (${figure(tail)} ms)`,
        start("muster", 99),
        start("muster", 99) < tail,
      ),
    },
    target("single submits of 100 callers: at least 5 times pg-boss", singles, singles >= 5),
  ].filter(({ measured }) => measured !== undefined);
}

function target(text: string, measured: number, met: boolean): Target {
  return Number.isFinite(measured)
    ? { text, measured: figure(measured), met }
    : { text, measured: undefined, met: undefined };
}

function chartOf(samples: readonly Sample[]): Chart[] {
  const rows = SYSTEMS.flatMap(({ key, label }) =>
    [50, 95, 99].flatMap((share) => {
      const ms = middle(samples, "idle", key, `start_p${share}_ms`);
      return Number.isFinite(ms) ? [{ system: label, quantile: `p${share}`, ms }] : [];
    }),
  );
  if (rows.length === 0) return [];
  return [
    {
      name: "latency",
      title: "Submit to handler start on an idle system",
      kind: "bars",
      x: { field: "ms", title: "ms" },
      y: { field: "system", title: "" },
      series: "quantile",
      rows,
    },
  ];
}
