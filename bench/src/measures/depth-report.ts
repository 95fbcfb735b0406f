import type { Sample } from "../report/sample.ts";
import { isMet, medianOf, parameterValues, runsOf, select } from "../report/select.ts";
import { type Findings, figure, type Target } from "../report/table.ts";

/** Tables, target and chart of depth. */
export function reportDepth(samples: readonly Sample[]): Findings {
  const depths = parameterValues(select(samples, { part: "claim" }), "waiting");
  if (depths.length === 0) return { tables: [], targets: [], charts: [] };
  const finished = parameterValues(select(samples, { part: "claim" }), "finished").at(-1) ?? 0;
  const at = (part: string, waiting: number, value: string) =>
    medianOf(samples, { part, parameters: { waiting } }, value);
  const drains = select(samples, { part: "drain" });
  return {
    tables: [
      {
        title: `Depth: one class, ${finished.toLocaleString("en-US")} ended tasks, median of ${runsOf(samples)} runs`,
        head: [
          ...[
            "waiting tasks",
            "claim of 1, p50 ms",
            "p99 ms",
            "claim of 500, p50 ms",
            "window of 2,000 ids, p50 ms",
            "counting the queue ms",
          ],
          ...["a slot's turn, p50 ms", "p99 ms", "scheduler's start ms", "its heap MiB", "its RSS MiB"],
        ],
        rows: depths.map((waiting) => [
          waiting.toLocaleString("en-US"),
          figure(at("claim", waiting, "one_p50_ms")),
          figure(at("claim", waiting, "one_p99_ms")),
          figure(at("claim", waiting, "many_p50_ms")),
          figure(at("claim", waiting, "window_p50_ms")),
          figure(at("claim", waiting, "count_p50_ms")),
          figure(at("turn", waiting, "turn_p50_ms")),
          figure(at("turn", waiting, "turn_p99_ms")),
          figure(at("turn", waiting, "scheduler_start_ms")),
          figure(at("turn", waiting, "scheduler_heap_mib")),
          figure(at("turn", waiting, "scheduler_rss_mib")),
        ]),
      },
      {
        title: "Drain rate with a deep queue and on an empty database",
        head: ["waiting tasks", "ended tasks", "drain/s", "scheduler's RSS MiB"],
        rows: parameterValues(drains, "waiting").map((waiting) => [
          waiting.toLocaleString("en-US"),
          (
            parameterValues(select(drains, { parameters: { waiting } }), "finished").at(-1) ?? 0
          ).toLocaleString("en-US"),
          figure(at("drain", waiting, "drain_per_s")),
          figure(at("drain", waiting, "scheduler_rss_mib")),
        ]),
      },
    ],
    targets: targetsOf(depths, at),
    charts: [
      {
        name: "depth",
        title: "Claim latency by queue depth (p50)",
        kind: "lines",
        x: { field: "waiting", title: "waiting tasks", scale: "log" },
        y: { field: "ms", title: "ms" },
        series: "what",
        rows: depths.flatMap((waiting) => [
          { waiting, ms: at("claim", waiting, "one_p50_ms"), what: "claim of 1" },
          { waiting, ms: at("claim", waiting, "many_p50_ms"), what: "claim of 500" },
          { waiting, ms: at("turn", waiting, "turn_p50_ms"), what: "a slot's turn" },
        ]),
      },
    ],
  };
}

function targetsOf(
  depths: readonly number[],
  at: (part: string, waiting: number, value: string) => number,
): Target[] {
  const [shallow = 0] = depths;
  const deep = depths.at(-1) ?? 0;
  return [
    ["claim of one task", "claim", "one_p50_ms"],
    ["claim of 500 tasks", "claim", "many_p50_ms"],
    ["a slot's turn through the whole stack", "turn", "turn_p50_ms"],
  ].map(([text = "", part = "", value = ""]) => {
    const ratio = at(part, deep, value) / at(part, shallow, value);
    return {
      text: `${text}: at most 1.3 times as long with ${deep.toLocaleString("en-US")} waiting as with ${shallow.toLocaleString("en-US")}`,
      measured: figure(ratio),
      met: isMet(ratio, (times) => times <= 1.3),
    };
  });
}
