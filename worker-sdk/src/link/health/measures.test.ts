import assert from "node:assert/strict";
import { it } from "node:test";
import { type Measures, prometheusText, WORKER_METRICS } from "./measures.ts";
import { Tally } from "./tally.ts";

const MEASURES: Measures = {
  concurrentJobs: 2,
  slots: 4,
  outboxSize: 1,
  heartbeats: 10,
  heartbeatFailures: 0,
  reconnects: 0,
  duplicates: { assignment: 0, artifact: 0 },
  probeFailures: 0,
  pauses: { other: 0, 'a "quoted"\nreason\\': 1 },
  batches: { other: 0, embed: 2 },
  batchMembers: { other: 0, embed: 9 },
  limits: { embed: 3 },
  limitChanges: { other: 0, embed: 4 },
  retries: { other: 0, ON_PURPOSE: 3 },
  shed: { progress: 0, output: 0, event: 0 },
  finished: { succeeded: 5, failed: 1, cancelled: 0, released: 0 },
  eventLoopDelayS: 0.021,
  logLines: 7,
  logLinesDropped: { other: 0, buffer: 2 },
  connected: true,
  cpuS: 1.5,
  rssBytes: 1e8,
  heapUsedBytes: 1e7,
};

it("writes every metric with its help, type and labels, escaped", () => {
  const text = prometheusText(MEASURES);
  assert.match(text, /^# TYPE worker_concurrent_jobs gauge\nworker_concurrent_jobs 2$/m);
  assert.match(text, /^worker_retry_attempts_total\{code="ON_PURPOSE"\} 3$/m);
  assert.ok(text.includes('worker_pauses_total{reason="a \\"quoted\\"\\nreason\\\\"} 1'));
  for (const { name, kind } of WORKER_METRICS) {
    assert.ok(text.includes(`# TYPE ${name} ${kind}\n`), name);
    assert.equal(name.endsWith("_total"), kind === "counter", name);
  }
});

it("bounds label values that handlers choose", () => {
  const tally = new Tally();
  for (let n = 0; n < 1_000; n++) tally.add(`CODE_${n}`);
  const counts = tally.counts();
  assert.equal(Object.keys(counts).length, 51);
  assert.equal(counts.other, 950);
});
