import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { ForeignReceiver } from "../support/telemetry/foreign-otlp.ts";
import { Scrape } from "../support/telemetry/scrape.ts";
import { assertSteps, assertTree, only } from "../support/telemetry/trace-tree.ts";

/** What a receiver is asked, by protocol. */
const REQUESTS = {
  grpc: ["trace.v1.TraceService", "metrics.v1.MetricsService"].map(
    (service) => `grpc /opentelemetry.proto.collector.${service}/Export`,
  ),
  "http/protobuf": ["traces", "metrics"].map((path) => `http /v1/${path} application/x-protobuf`),
  "http/json": ["traces", "metrics"].map((path) => `http /v1/${path} application/json`),
} as const;

for (const protocol of ["grpc", "http/protobuf", "http/json"] as const) {
  describe(`a receiver that is not ours, over ${protocol}`, () => {
    let receiver: ForeignReceiver;
    let fleet: Fleet;
    let taskId: string;

    before(async () => {
      receiver = await ForeignReceiver.start();
      fleet = await Fleet.start({ env: receiver.env("scheduler", protocol) });
      await fleet.worker("traced", { file: "traced.ts", env: receiver.env("worker", protocol) });
      const task = await fleet.client.submit("work", {});
      await task.result();
      taskId = task.id;
    });

    after(async () => {
      await killAll();
      await fleet.stop();
      await receiver.stop();
    });

    it("gets a task's trace", async () => {
      const attempt = await receiver.span(
        "attempt",
        ({ name, attributes }) =>
          name === "attempt work" && attributes["muster.attempt.id"] === `${taskId}.1`,
      );
      for (const name of ["run default", "phase inference", "forward", "commit default"])
        await receiver.span(name, (span) => span.name === name && span.traceId === attempt.traceId);
      const spans = receiver.spans
        .filter(({ traceId }) => traceId === attempt.traceId)
        .sort((a, b) => a.startMs - b.startMs);
      assertTree(spans);
      const { run } = assertSteps(spans, attempt);
      assert.deepEqual([attempt.service, run.service, run.kind], ["scheduler", "worker", "CONSUMER"]);
      assert.ok(only(spans, "forward", only(spans, "phase inference", run)));
      assert.equal(attempt.attributes["muster.attempt.outcome"], "succeeded");
    });

    it("gets the metrics of scheduler and worker, by the names and with the values of a scrape", async () => {
      const done = { queue: "default", type: "work" };
      const succeeded = { ...done, outcome: "succeeded" };
      assert.equal(await receiver.value("scheduler", "muster_tasks_finished_total", succeeded), 1);
      assert.equal(await receiver.value("scheduler", "muster_task_run_seconds", done), 1);
      await receiver.value("scheduler", "muster_workers", { state: "ready" });
      await receiver.value("worker", "worker_heartbeats_total", {});
      await receiver.value("worker", "worker_tasks_finished_total", { outcome: "succeeded" });
      const { text } = await Scrape.of(fleet.scheduler.http);
      const scraped = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)].map(([, name, type]) => `${name} ${type}`);
      const pushed = receiver
        .points("scheduler")
        .map(({ name, kind }) => `${name} ${kind === "sum" ? "counter" : kind}`);
      const wanted = scraped.filter((line) => line !== "target_info gauge");
      assert.deepEqual([...new Set(pushed)].sort(), wanted.sort());
    });

    it("is asked by that protocol alone", () => {
      assert.deepEqual([...receiver.requests].sort(), [...REQUESTS[protocol]].sort());
    });
  });
}
