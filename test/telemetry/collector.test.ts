import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { Collector, validateConfiguration } from "../support/telemetry/collector.ts";
import { findCollector } from "../support/telemetry/collector-program.ts";
import { exportTo, OtlpReceiver } from "../support/telemetry/otlp.ts";
import { findPrometheus, Prometheus } from "../support/telemetry/prometheus.ts";
import { assertSteps, assertTree } from "../support/telemetry/trace-tree.ts";
import { until } from "../support/waits.ts";

const found = findCollector();
const programs = findPrometheus();
const skip = typeof found === "string" ? found : typeof programs === "string" ? programs : false;

describe("an OpenTelemetry collector with the configuration of deploy", { skip }, () => {
  let receiver: OtlpReceiver;
  let prometheus: Prometheus;
  let fleet: Fleet;
  let collector: Collector;

  before(async () => {
    if (typeof found === "string" || typeof programs === "string") throw new Error("skipped");
    receiver = await OtlpReceiver.start();
    prometheus = await Prometheus.start(programs, {}, []);
    // The scheduler is scraped, and pushes traces alone: its address is known only when it runs.
    fleet = await Fleet.start();
    collector = await Collector.start(found.program, {
      scrape: fleet.scheduler.http.replace("http://", ""),
      traces: new URL(receiver.env("", "grpc").OTEL_EXPORTER_OTLP_ENDPOINT ?? "").host,
      remoteWrite: prometheus.remoteWriteUrl,
    });
    await fleet.scheduler.program.end();
    await fleet.restart(fleet.scheduler, [], {
      ...exportTo(collector.url, "scheduler", "http/protobuf"),
      OTEL_METRICS_EXPORTER: "none",
    });
    for (const id of ["traced", "other"]) {
      await fleet.worker(id, {
        file: "traced.ts",
        queue: id === "traced" ? "default" : id,
        env: {
          ...exportTo(collector.url, "worker", "http/protobuf"),
          OTEL_METRIC_EXPORT_INTERVAL: "500",
        },
      });
    }
  });

  after(async () => {
    await killAll();
    await collector?.stop();
    await prometheus?.stop();
    await fleet?.stop();
    await receiver?.stop();
  });

  it("is valid as it is", () => {
    if (typeof found !== "string") validateConfiguration(found.program);
  });

  it("passes the whole trace of a task that failed on", async () => {
    const task = await fleet.client.submit("work", { fails: 1 }, { retry: { maxRetries: 0 } });
    await assert.rejects(task.result());
    const attempt = await receiver.attempt(`${task.id}.1`);
    for (const name of ["run default", "phase inference", "forward"])
      await receiver.span(name, (span) => span.name === name && span.traceId === attempt.traceId);
    const spans = receiver.trace(attempt.traceId);
    assertTree(spans);
    assert.equal(assertSteps(spans, attempt).run.service, "worker");
  });

  it("T44: two workers of one service are two series of every metric in Prometheus", async () => {
    const expression = 'count(count by (instance) (worker_heartbeats_total{job="worker"})) == 2';
    await until(expression, async () => ((await prometheus.query(expression)).length > 0 ? true : undefined));
  });

  it("writes what it scrapes and what it is sent to Prometheus, by the names of a scrape", async () => {
    for (const expression of [
      'muster_workers{job="muster-scheduler", state="ready"} == 2',
      'muster_task_run_seconds_count{job="muster-scheduler", type="work"} == 1',
      'worker_heartbeats_total{job="worker"} > 0',
      'worker_retry_attempts_total{job="worker", code="ON_PURPOSE"} == 1',
    ]) {
      await until(expression, async () =>
        (await prometheus.query(expression)).length > 0 ? true : undefined,
      );
    }
  });
});
