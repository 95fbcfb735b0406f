import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { after, before, describe, it } from "node:test";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { OtlpReceiver, type ReceivedSpan, shown } from "../support/telemetry/otlp.ts";

/** The registry as its authors generate it; a dependency of the scheduler. */
const registry: Readonly<Record<string, unknown>> = createRequire(
  new URL("../../scheduler/src/main.ts", import.meta.url),
)("@opentelemetry/semantic-conventions/incubating");
const known = new Set(
  Object.entries(registry).flatMap(([key, value]) => (key.startsWith("ATTR_") ? [value] : [])),
);

const SCHEMA = /^https:\/\/opentelemetry\.io\/schemas\/1\.\d+\.0$/;
const SUBMIT_TASKS = "muster.v1.TaskService/SubmitTasks";

/** Which kind the conventions ask for an operation of each type. */
const KIND: Readonly<Record<string, string>> = { send: "PRODUCER", process: "CONSUMER", settle: "CLIENT" };

describe("OpenTelemetry's conventions", () => {
  let receiver: OtlpReceiver;
  let fleet: Fleet;

  before(async () => {
    receiver = await OtlpReceiver.start();
    fleet = await Fleet.start({ env: metered("scheduler", "grpc") });
    for (const id of ["first", "second"])
      await fleet.worker(id, { file: "traced.ts", queue: id, env: metered("worker", "http/json") });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await receiver.stop();
  });

  function metered(service: string, protocol: "grpc" | "http/json"): Record<string, string> {
    return { ...receiver.env(service, protocol), OTEL_METRIC_EXPORT_INTERVAL: "250" };
  }

  /** The run of a task's first attempt, once the whole trace has arrived. */
  async function runOf(taskId: string): Promise<ReceivedSpan> {
    await receiver.attempt(`${taskId}.1`);
    return receiver.span(
      `run of ${taskId}`,
      ({ name, attributes }) => name.startsWith("run ") && attributes["muster.task.id"] === taskId,
    );
  }

  /** Submits with the CLI, which has an SDK of its own. */
  async function cli(...args: string[]): Promise<{ readonly code: number | null; readonly taskId: string }> {
    const program = Program.start("muster submit", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["submit", ...args, "--scheduler", fleet.scheduler.grpc],
      env: receiver.env("producer"),
    });
    const { code } = await program.ended;
    return { code, taskId: program.stdout.trim() };
  }

  it("T44: one span sends a submit, whoever traces it", async () => {
    const { taskId } = await cli("work", "{}", "--queue", "first");
    const traced = await runOf(taskId);
    const { id } = await fleet.client.submit("work", {}, { queue: "second" });
    const untraced = await runOf(id);
    for (const { run, task, queue, by } of [
      { run: traced, task: taskId, queue: "first", by: "producer" },
      { run: untraced, task: id, queue: "second", by: "scheduler" },
    ]) {
      assert.equal(run.name, `run ${queue}`);
      const spans = receiver.trace(run.traceId);
      const sends = spans.filter(({ attributes }) => attributes["messaging.operation.type"] === "send");
      assert.deepEqual(
        sends.map(({ name, service, attributes }) => [name, service, attributes["messaging.message.id"]]),
        [[`submit ${queue}`, by, task]],
      );
      const calls = spans.filter(({ attributes }) => attributes["rpc.method"] !== undefined);
      assert.deepEqual(
        calls.map(({ kind, service, attributes }) => [kind, service, attributes["rpc.status_code"]]),
        [...(by === "producer" ? [["CLIENT", "producer", "OK"]] : []), ["SERVER", "scheduler", "OK"]],
      );
    }
  });

  it("T44: a submit that is refused says its code and its reason", async () => {
    const { code } = await cli("no blanks allowed\n", "{}");
    assert.notEqual(code, 0);
    const call = await receiver.span(
      "the refused call",
      ({ name, attributes }) => name === SUBMIT_TASKS && attributes["rpc.status_code"] === "INVALID_ARGUMENT",
    );
    const sending = await receiver.span("its sending", ({ spanId }) => spanId === call.parentSpanId);
    for (const { failed, attributes } of [call, sending]) {
      assert.ok(failed);
      assert.deepEqual(
        [attributes["error.type"], attributes["muster.reason"]],
        ["INVALID_ARGUMENT", "INVALID_TASK"],
      );
    }
  });

  it("T44: every span that is exported keeps to them", async () => {
    const failing = await fleet.client.submit(
      "work",
      { fails: 1 },
      { queue: "first", retry: { maxRetries: 0 } },
    );
    await assert.rejects(failing.result());
    assert.ok((await runOf(failing.id)).failed);
    const own = receiver.spans.filter(({ schemaUrl }) => schemaUrl !== "");
    assert.deepEqual(
      [...new Set(receiver.spans.filter((span) => !own.includes(span)).map(({ name }) => name))].sort(),
      ["forward", "read weights"],
      "the handler's own spans have no schema; all others have one",
    );
    for (const span of own) {
      const { attributes, resource, name, kind } = span;
      const of = (key: string) => attributes[key];
      const about = `${kind} ${shown(span)} ${JSON.stringify(attributes)}`;
      const names = [...Object.keys(attributes), ...Object.keys(resource)];
      assert.deepEqual(
        names.filter((key) => !key.startsWith("muster.") && !known.has(key)),
        [],
        about,
      );
      assert.match(span.schemaUrl, SCHEMA);
      assert.equal(span.resourceSchemaUrl, span.schemaUrl, about);
      assert.equal(span.failed, of("error.type") !== undefined, about);
      const conventions = ["messaging.operation.name", "rpc.method", "db.operation.name"].filter(of);
      assert.ok(conventions.length <= 1, about);
      if (of("messaging.operation.name")) {
        assert.equal(name, `${of("messaging.operation.name")} ${of("messaging.destination.name")}`);
        assert.equal(kind, KIND[of("messaging.operation.type") ?? ""], about);
        assert.deepEqual([of("messaging.system.name"), of("messaging.system")], ["muster", "muster"], about);
      }
      if (of("rpc.method")) {
        assert.equal(name, of("rpc.method"));
        assert.ok(of("rpc.status_code"), about);
        assert.equal(of("rpc.response.status_code"), of("rpc.status_code"));
        assert.ok(["grpc", "connectrpc"].includes(of("rpc.system.name") ?? ""), about);
        if (kind === "CLIENT") assert.ok(of("server.address") && of("server.port"), about);
        else assert.equal(kind, "SERVER");
      }
      if (of("db.operation.name")) {
        assert.equal(name, `${of("db.operation.name")} ${of("db.collection.name")}`);
        assert.deepEqual([kind, of("db.system.name")], ["CLIENT", "postgresql"]);
      }
    }
  });

  it("T44: two workers of one service are two instances, in spans and metrics, as long as they run", async () => {
    const instances: string[] = [];
    for (const queue of ["first", "second", "first", "second"]) {
      const { id } = await fleet.client.submit("work", {}, { queue });
      const { resource } = await runOf(id);
      assert.match(resource["service.instance.id"] ?? "", /^[0-9a-f-]{36}$/);
      assert.match(resource["service.version"] ?? "", /^\d+\.\d+\.\d+/);
      instances.push(resource["service.instance.id"] ?? "");
    }
    const [first = "", second = ""] = instances;
    assert.notEqual(first, second);
    assert.deepEqual(instances, [first, second, first, second]);
    for (const { of, instance } of [
      { of: "worker_heartbeats_total", instance: first },
      { of: "worker_heartbeats_total", instance: second },
      { of: "muster_tasks_finished_total", instance: undefined },
    ]) {
      const metrics = await receiver.measured(
        of,
        ({ resource, scopes }) =>
          (instance === undefined || resource["service.instance.id"] === instance) &&
          scopes.some(({ names }) => names.includes(of)),
      );
      assert.ok(metrics.resource["service.instance.id"] && metrics.resource["service.version"]);
      assert.match(metrics.resourceSchemaUrl, SCHEMA);
      for (const { schemaUrl, names } of metrics.scopes) assert.match(schemaUrl, SCHEMA, names.join());
    }
  });

  it("T44: what the environment says of the service wins", async () => {
    await fleet.worker("named", {
      file: "traced.ts",
      queue: "named",
      env: {
        ...receiver.env("by-name", "http/json"),
        OTEL_RESOURCE_ATTRIBUTES:
          "service.name=by-attribute,service.instance.id=pod-7,service.version=9.9.9,deployment.environment.name=test",
      },
    });
    const { id } = await fleet.client.submit("work", {}, { queue: "named" });
    const { resource } = await runOf(id);
    assert.deepEqual(
      ["name", "instance.id", "version"].map((key) => resource[`service.${key}`]),
      ["by-name", "pod-7", "9.9.9"],
    );
    assert.equal(resource["deployment.environment.name"], "test");
  });
});
