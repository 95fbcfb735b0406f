import assert from "node:assert/strict";
import { afterEach, beforeEach, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { OtlpReceiver, type ReceivedSpan } from "../support/telemetry/otlp.ts";
import { assertSteps, assertTree, only } from "../support/telemetry/trace-tree.ts";
import { until } from "../support/waits.ts";

describe("traces when something breaks", () => {
  let receiver: OtlpReceiver;
  let fleet: Fleet | undefined;

  beforeEach(async () => {
    receiver = await OtlpReceiver.start();
  });

  afterEach(async () => {
    await killAll();
    await fleet?.stop();
    fleet = undefined;
    await receiver.stop();
  });

  function traced(id: string, options: { scheduler?: string; slots?: number } = {}): Promise<Program> {
    if (!fleet) throw new Error("start the fleet first");
    return fleet.worker(id, { file: "traced.ts", ...options, env: receiver.env(id) });
  }

  /** The scheduler knows of the second phase: it ends the spans of those that it knows when it gives up the worker. */
  async function inferring(taskId: string): Promise<void> {
    await until("the phase is known", async () =>
      (await fleet?.task(taskId))?.phase === "inference" ? true : undefined,
    );
  }

  async function runOf(attemptId: string): Promise<ReceivedSpan> {
    return receiver.span(
      `run of ${attemptId}`,
      ({ name, attributes }) => name.startsWith("run ") && attributes["muster.attempt.id"] === attemptId,
    );
  }

  it("ends the attempt of a killed worker with its cause, and orphans nothing that had left it", async () => {
    fleet = await Fleet.start({ env: receiver.env("scheduler") });
    const victim = await traced("victim", { slots: 1 });
    const gate = fleet.gate();
    const handle = await fleet.client.submit("work", { gate: gate.path });
    await inferring(handle.id);
    // The author's spans have been exported; what they hang below has not.
    const own = await receiver.span("forward", ({ name }) => name === "forward");
    assert.equal(
      receiver.spans.filter(({ name }) => name.startsWith("phase ") || name.startsWith("run ")).length,
      0,
    );
    await victim.end("SIGKILL");
    const lost = await receiver.attempt(`${handle.id}.1`);
    assert.ok(lost.failed, "the lost attempt has failed");
    assert.equal(lost.attributes["muster.attempt.outcome"], "requeued:stale");
    assert.equal(lost.attributes["error.type"], "WORKER_LOST");
    assert.match(lost.message, /victim stopped answering/);
    const spans = receiver.trace(lost.traceId);
    assertTree(spans);
    const { run } = assertSteps(spans, lost);
    assert.equal(run.attributes["muster.reported_by"], "scheduler");
    const phase = only(spans, "phase inference", run);
    assert.ok(phase.failed, "the phase was open when the worker died");
    assert.equal(own.parentSpanId, phase.spanId);
    assert.equal(only(spans, "phase model_load", run).failed, false);

    await traced("heir");
    gate.open();
    await handle.result();
    const second = await receiver.attempt(`${handle.id}.2`);
    await runOf(`${handle.id}.2`);
    await receiver.span(
      "its phase",
      ({ name, traceId }) => name === "phase inference" && traceId === second.traceId,
    );
    assertTree(receiver.trace(second.traceId));
    assert.equal(second.links[1]?.spanId, lost.spanId);
  });

  it("ends the attempt of a crashed worker with its fatal report", async () => {
    fleet = await Fleet.start({ env: receiver.env("scheduler") });
    await fleet.worker("crasher", { env: { ...receiver.env("crasher") } });
    const handle = await fleet.client.submit("crash", {});
    const lost = await receiver.attempt(`${handle.id}.1`);
    assert.equal(lost.attributes["muster.attempt.outcome"], "requeued:fatal");
    assertTree(receiver.trace(lost.traceId));
  });

  it("keeps each span once when a worker was given up and comes back with its result", async () => {
    fleet = await Fleet.start({ env: receiver.env("scheduler") });
    const slow = await traced("slow", { slots: 1 });
    const gate = fleet.gate();
    const handle = await fleet.client.submit("work", { gate: gate.path });
    await inferring(handle.id);
    slow.kill("SIGSTOP");
    const lost = await receiver.attempt(`${handle.id}.1`);
    gate.open();
    slow.kill("SIGCONT");
    await handle.result();
    const second = await receiver.attempt(`${handle.id}.2`);
    await runOf(`${handle.id}.2`);
    await slow.end("SIGTERM");
    assert.equal(second.attributes["muster.worker.id"], "slow");
    assertTree(receiver.trace(lost.traceId));
    assertTree(receiver.trace(second.traceId));
  });

  it("goes on across a restart of the scheduler, and from one scheduler to another", async () => {
    // The restart of a busy machine must not cost the worker its attempt.
    const grace = ["--reconnect-grace", "20"];
    fleet = await Fleet.start({ schedulers: 2, args: grace, env: receiver.env("scheduler") });
    const [first, second] = fleet.schedulers;
    assert.ok(first && second);
    const worker = await traced("w1", { scheduler: second.grpc });
    const gate = fleet.gate();
    // Submitted at the first, assigned by the second, committed by the second's successor.
    const handle = await fleet.client.submit("work", { gate: gate.path });
    await worker.line("handler.inferred");
    await second.program.end("SIGKILL");
    await fleet.restart(second, grace, receiver.env("successor"));
    await worker.line("worker.reconnected");
    gate.open();
    await handle.result();
    const attempt = await receiver.attempt(`${handle.id}.1`);
    await runOf(`${handle.id}.1`);
    await receiver.span("its phases", ({ name }) => name === "phase inference");
    const spans = receiver.trace(attempt.traceId);
    assertTree(spans);
    assert.equal(attempt.service, "successor");
    assert.equal(only(spans, "submit default").service, "scheduler");
    assertSteps(spans, attempt);
  });
});
