import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program, Program as Programs } from "../support/programs/program.ts";
import { OtlpReceiver, type ReceivedSpan } from "../support/telemetry/otlp.ts";
import { assertSteps, assertTree, only } from "../support/telemetry/trace-tree.ts";

const SUBMIT_TASKS = "muster.v1.TaskService/SubmitTasks";

/** A producer's context, as it would come from somewhere else. */
function producer(sampled = true) {
  const [traceId, spanId] = [randomBytes(16).toString("hex"), randomBytes(8).toString("hex")];
  return { traceId, spanId, traceparent: `00-${traceId}-${spanId}-${sampled ? "01" : "00"}` };
}

describe("traces of tasks", () => {
  let receiver: OtlpReceiver;
  let fleet: Fleet;
  let worker: Program;

  before(async () => {
    receiver = await OtlpReceiver.start();
    fleet = await Fleet.start({ env: receiver.env("scheduler", "grpc") });
    worker = await fleet.worker("traced", { file: "traced.ts", env: receiver.env("worker", "http/json") });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await receiver.stop();
  });

  /** The trace once the attempt and its worker's spans are there. */
  async function traceOf(attemptId: string): Promise<{ spans: ReceivedSpan[]; attempt: ReceivedSpan }> {
    const attempt = await receiver.attempt(attemptId);
    await receiver.span(
      `run of ${attemptId}`,
      ({ name, attributes }) => name.startsWith("run ") && attributes["muster.attempt.id"] === attemptId,
    );
    // The author's spans are exported by the run's end; the phases right behind the run.
    await receiver.span(
      `phases of ${attemptId}`,
      ({ name, traceId }) => name === "phase inference" && traceId === attempt.traceId,
    );
    return { spans: receiver.trace(attempt.traceId), attempt };
  }

  it("has a task's whole life below the producer's span", async () => {
    const cli = Programs.start("muster submit", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["submit", "work", "{}", "--scheduler", fleet.scheduler.grpc],
      env: receiver.env("producer"),
    });
    assert.equal((await cli.ended).code, 0, cli.tail());
    const taskId = cli.stdout.trim();
    const { spans, attempt } = await traceOf(`${taskId}.1`);
    assertTree(spans);
    const root = only(
      spans.filter(({ kind }) => kind === "PRODUCER"),
      "submit default",
    );
    assert.equal(root.service, "producer");
    assert.equal(root.parentSpanId, "");
    assert.equal(root.attributes["messaging.message.id"], taskId);
    const call = only(spans, SUBMIT_TASKS, root);
    assert.deepEqual([call.kind, call.service], ["CLIENT", "producer"]);
    const submit = only(spans, SUBMIT_TASKS, call);
    assert.equal(submit.kind, "SERVER");
    assert.equal(submit.service, "scheduler");
    assert.equal(submit.attributes["rpc.system.name"], "grpc");
    assert.equal(only(spans, "INSERT task").attributes["db.system.name"], "postgresql");
    assert.equal(attempt.parentSpanId, submit.spanId);
    const { wait, run, commit } = assertSteps(spans, attempt);
    assert.ok(wait.attributes["muster.wait.reason"], "the wait has its reason");
    assert.equal(run.service, "worker");
    assert.equal(run.kind, "CONSUMER");
    assert.equal(run.attributes["muster.attempt.outcome"], "succeeded");
    assert.equal(commit?.attributes["messaging.operation.type"], "settle");
    for (const [phase, own] of [
      ["phase model_load", "read weights"],
      ["phase inference", "forward"],
    ] as const) {
      const span = only(spans, phase, run);
      // The author's span was begun inside the phase, and hangs there.
      assert.equal(only(spans, own, span).service, "worker");
    }
    assert.equal(only(spans, "phase model_load").attributes["muster.phase.model"], "tiny");
  });

  it("takes the context of a Connect call, and of a task's own headers", async () => {
    for (const { by, headers, spec } of [
      {
        by: "the call",
        headers: (traceparent: string) => ({ traceparent, tracestate: "vendor=1" }),
        spec: () => ({}),
      },
      {
        by: "the task",
        headers: () => ({}),
        spec: (traceparent: string) => ({ headers: { traceparent, tracestate: "vendor=1" } }),
      },
    ]) {
      const { traceId, spanId, traceparent } = producer();
      const response = await fetch(`${fleet.scheduler.http}/muster.v1.TaskService/SubmitTasks`, {
        method: "POST",
        headers: { "content-type": "application/json", ...headers(traceparent) },
        body: JSON.stringify({ tasks: [{ taskType: "work", payload: btoa("{}"), ...spec(traceparent) }] }),
      });
      const { tasks } = (await response.json()) as { tasks: { taskId: string }[] };
      const taskId = tasks[0]?.taskId ?? "";
      const { spans, attempt } = await traceOf(`${taskId}.1`);
      assert.equal(attempt.traceId, traceId, by);
      assertTree(spans, spanId);
      assert.equal(only(spans, SUBMIT_TASKS).attributes["rpc.system.name"], "connectrpc", by);
      const task = await fleet.task(taskId);
      assert.equal(task.headers.traceparent, traceparent, `${by}: the task keeps what it was submitted with`);
      assert.deepEqual(await fleet.client.handle(taskId).result(), {
        traceparent: `00-${traceId}-${attempt.spanId}-01`,
      });
    }
  });

  it("gives a retry and a delayed run a trace of their own, linked to the first", async () => {
    const retried = await fleet.client.submit("work", { fails: 1 }, { retry: { delaysS: [0.3] } });
    const first = await traceOf(`${retried.id}.1`);
    const second = await traceOf(`${retried.id}.2`);
    assertTree(first.spans);
    assertTree(second.spans);
    assert.notEqual(first.attempt.traceId, second.attempt.traceId);
    assert.equal(first.attempt.attributes["muster.attempt.outcome"], "requeued:retry");
    assert.equal(first.attempt.attributes["error.type"], "ON_PURPOSE");
    assert.ok(
      first.attempt.failed &&
        only(first.spans, "run default").failed &&
        only(first.spans, "phase inference").failed,
    );
    const submit = only(first.spans, "submit default");
    assert.deepEqual(second.attempt.links, [
      { traceId: submit.traceId, spanId: submit.spanId, kind: "submit" },
      { traceId: first.attempt.traceId, spanId: first.attempt.spanId, kind: "previous_attempt" },
    ]);
    const { wait } = assertSteps(second.spans, second.attempt);
    assert.equal(wait.attributes["muster.wait.reason"], "WAITING_FOR_RETRY");
    assert.ok(wait.endMs - wait.startMs >= 295, `it waited ${wait.endMs - wait.startMs} ms`);

    const delayed = await fleet.client.submit("work", {}, { delayS: 0.3 });
    const { spans, attempt } = await traceOf(`${delayed.id}.1`);
    assertTree(spans);
    const [link] = attempt.links;
    assert.ok(link);
    const begun = receiver.trace(link.traceId);
    assertTree(begun);
    assert.equal(link.spanId, only(begun, "submit default").spanId);
    assert.equal(assertSteps(spans, attempt).wait.attributes["muster.wait.reason"], "SCHEDULED_FOR_LATER");
  });

  it("ends the spans of what was cancelled, in a handler or in the queue, with the reason of the wait", async () => {
    const gate = fleet.gate();
    const running = await fleet.client.submit("work", { gate: gate.path });
    const other = await fleet.client.submit("work", { gate: gate.path });
    await fleet.ran(running.id);
    await fleet.ran(other.id);
    const queued = await fleet.client.submit("work", {});
    await fleet.taskReason(queued.id, "ALL_SLOTS_BUSY", 1_000);
    await queued.cancel("not needed");
    const inQueue = await receiver.attempt(`${queued.id}.1`);
    const waited = only(receiver.trace(inQueue.traceId), "queue wait");
    assertTree(receiver.trace(inQueue.traceId));
    assert.equal(inQueue.attributes["muster.attempt.outcome"], "cancelled");
    assert.equal(waited.attributes["muster.wait.reason"], "ALL_SLOTS_BUSY");

    await running.cancel("changed my mind");
    const { spans, attempt } = await traceOf(`${running.id}.1`);
    assertTree(spans);
    assert.equal(attempt.attributes["muster.attempt.outcome"], "cancelled");
    const run = only(spans, "run default");
    assert.equal(run.attributes["muster.attempt.outcome"], "cancelled");
    assert.ok(run.events.some(({ name }) => name === "stop_requested"));
    gate.open();
    await other.result();
  });

  it("writes nothing for a producer that does not sample, and says so to the worker", async () => {
    const { traceId, traceparent } = producer(false);
    const handle = await fleet.client.submit("work", {}, { headers: { traceparent } });
    assert.deepEqual(await handle.result(), { traceparent });
    // What is recorded later has arrived, so this would have.
    const sampled = await fleet.client.submit("work", {});
    await traceOf(`${sampled.id}.1`);
    assert.deepEqual(receiver.trace(traceId), []);
  });

  it("writes the run and its phases for a worker that does not", async () => {
    const plain = await fleet.worker("plain", { queue: "plain" });
    const gate = fleet.gate();
    const handle = await fleet.client.submit("stuck", { gate: gate.path }, { queue: "plain" });
    await fleet.eventually(handle.id, "task.model_load.started");
    const heldAt = Date.now();
    gate.open();
    await handle.result();
    const attempt = await receiver.attempt(`${handle.id}.1`);
    const spans = receiver.trace(attempt.traceId);
    assertTree(spans);
    const { run } = assertSteps(spans, attempt);
    assert.equal(run.service, "scheduler");
    assert.equal(run.attributes["muster.reported_by"], "scheduler");
    const phase = only(spans, "phase model_load", run);
    assert.ok(
      phase.startMs <= heldAt && phase.endMs >= heldAt,
      `at ${heldAt} it was held, and is dated ${phase.startMs} to ${phase.endMs}`,
    );
    await plain.end();
  });

  it("puts the ids of the spans into the logs", async () => {
    const handle = await fleet.client.submit("work", {});
    const { spans } = await traceOf(`${handle.id}.1`);
    const of = ({ task_id }: { readonly [field: string]: unknown }) => task_id === handle.id;
    const began = await worker.line("handler.began", of);
    const inferred = await worker.line("handler.inferred", of);
    const completed = await worker.line("task.completed", of);
    const run = only(spans, "run default");
    assert.deepEqual([began.trace_id, began.span_id], [run.traceId, run.spanId]);
    assert.deepEqual(
      [inferred.trace_id, inferred.span_id],
      [run.traceId, only(spans, "phase inference").spanId],
    );
    assert.deepEqual([completed.trace_id, completed.span_id], [run.traceId, run.spanId]);
  });

  it("takes exports over gRPC and over HTTP", () => {
    assert.ok(receiver.exports.grpc > 0 && receiver.exports.http > 0, JSON.stringify(receiver.exports));
  });
});

describe("without an endpoint", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
    await fleet.worker("untraced", { file: "traced.ts" });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("passes a producer's context on unchanged, and adds none", async () => {
    const { traceparent } = producer();
    const response = await fetch(`${fleet.scheduler.http}/muster.v1.TaskService/SubmitTasks`, {
      method: "POST",
      headers: { "content-type": "application/json", traceparent },
      body: JSON.stringify({ tasks: [{ taskType: "work", payload: btoa("{}") }] }),
    });
    const { tasks } = (await response.json()) as { tasks: { taskId: string }[] };
    assert.deepEqual(await fleet.client.handle(tasks[0]?.taskId ?? "").result(), { traceparent });
    const plain = await fleet.client.submit("work", {});
    assert.deepEqual(await plain.result(), { traceparent: null });
    assert.deepEqual((await fleet.task(plain.id)).headers, {});
  });
});
