import assert from "node:assert/strict";
import { test } from "node:test";
import { recordedLog } from "../dispatch/testing/recorded-log.ts";
import type { ClassDepth, CompletionCount, FleetCounts, StuckAttempts } from "../store/store.ts";
import type { LogFields } from "../telemetry/logs/logger.ts";
import { Monitor } from "./monitor.ts";

interface Parts {
  readonly fleet?: Partial<FleetCounts>;
  readonly depths?: ClassDepth[];
  readonly stuck?: StuckAttempts;
  readonly completed?: CompletionCount[];
  readonly log?: ConstructorParameters<typeof Monitor>[0]["log"];
}

/** The names of the log's events of one run over these numbers. */
async function run(parts: Parts) {
  const { log, events } = recordedLog();
  let launches = 0;
  await new Monitor({
    log: parts.log ?? log,
    classes: { load: async () => undefined, get: () => undefined },
    launches: { monitor: async () => void launches++ },
    store: {
      depths: async () => parts.depths ?? [],
      fleetCounts: async () => ({ ...NO_WORKERS, ...parts.fleet }),
      stuckAttempts: async () => parts.stuck ?? { count: 0, attempts: [] },
      recentCompletions: async () => ({ counts: parts.completed ?? [], ageMs: 3_000 }),
      workerUse: async () => [
        { workerId: "w", active: 0, completions: { total: 9, recent: [1, 2], idleMs: 500 }, ageMs: 2_000 },
        { workerId: "older", active: 1, completions: undefined, ageMs: 0 },
      ],
    },
  }).runOnce();
  assert.equal(launches, 1, "launches are monitored in every run");
  return events;
}

const NO_WORKERS = { workers: 0, ready: 0, gpus: 0, busyGpus: 0 } as FleetCounts;

test("nothing is logged without work and without workers", async () => {
  assert.deepEqual(await run({}), []);
});

test("one line sums up, and a warning names what is stuck", async () => {
  assert.deepEqual(await run({ fleet: { workers: 1 } }), ["monitor"]);
  assert.deepEqual(await run({ fleet: { workers: 1 }, stuck: { count: 1, attempts: [] } }), [
    "monitor",
    "tasks.stuck",
  ]);
});

test("the line has what was completed of late by type, and debug lines have it by worker with the idle time", async () => {
  const lines: [string, LogFields | undefined][] = [];
  const keep = (event: string, fields?: LogFields) => void lines.push([event, fields]);
  const one = (queue: string, type: string, count: number) => ({ queue, type, count });
  await run({
    fleet: { workers: 2 },
    completed: [one("a", "ocr", 2), one("b", "ocr", 1), one("a", "llm", 9)],
    log: { info: keep, warn: keep, debug: keep, debugEnabled: true },
  });
  const [[, summary], [workers, { workers: listed } = { workers: undefined }]] = lines as [
    (typeof lines)[number],
    (typeof lines)[number],
  ];
  assert.match(String(summary?.line), / \| completed in 5 min llm:9, ocr:3$/);
  assert.deepEqual([summary?.completed_5min, summary?.completed_age_ms], [12, 3_000]);
  assert.equal(workers, "monitor.workers");
  assert.deepEqual(listed, [
    { worker_id: "w", processing: 0, completed: 9, completed_5min: 3, idle_ms: 2_500 },
    { worker_id: "older", processing: 1 },
  ]);
});
