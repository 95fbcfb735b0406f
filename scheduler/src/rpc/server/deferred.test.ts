import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { status } from "@grpc/grpc-js";
import { TaskService } from "@muster/protocol";
import { ExternalScaler } from "@muster/protocol/keda";
import { silentLogger } from "../../telemetry/logs/logger.ts";
import { Counters } from "../../telemetry/metrics/counters.ts";
import { toGrpcService } from "./bridge.ts";
import { Calls } from "./calls.ts";
import { addDeferred, addImported, type DeferredMethod, type ServiceTarget } from "./deferred.ts";
import { INTERNAL } from "./errors.ts";
import { HEALTH_METHODS, Health } from "./health.ts";
import { mountReflection, REFLECTION_METHODS } from "./reflection.ts";
import { SCALER_METHODS } from "./scaler.ts";

/** Takes services as a server does. */
class Target implements ServiceTarget {
  readonly methods = new Map<string, DeferredMethod & { requestDeserialize(bytes: Buffer): unknown }>();
  readonly handlers = new Map<string, (...call: readonly unknown[]) => void>();

  addService(...[service, implementation]: Parameters<ServiceTarget["addService"]>): void {
    for (const [name, definition] of Object.entries(service)) {
      this.methods.set(definition.path, definition);
      this.handlers.set(
        definition.path,
        (implementation[name] ?? implementation[definition.originalName ?? ""]) as never,
      );
    }
  }

  /** The methods, as {@link addDeferred} takes them. */
  shapes(): DeferredMethod[] {
    return [...this.methods.values()].map(({ path, requestStream, responseStream }) => ({
      path,
      requestStream,
      responseStream,
    }));
  }
}

const METHOD: DeferredMethod = { path: "/p.S/Get", requestStream: false, responseStream: false };

describe("deferred services", () => {
  it("are known as their packages define them", () => {
    const [health, reflection] = [new Target(), new Target()];
    new Health([]).mount(health);
    assert.deepEqual(health.shapes(), HEALTH_METHODS);
    mountReflection(reflection, [TaskService]);
    assert.deepEqual(reflection.shapes(), REFLECTION_METHODS);
  });

  it("are known as the module of KEDA's scaler defines them", () => {
    const scaler = new Target();
    scaler.addService(toGrpcService(ExternalScaler, new Calls(silentLogger, new Counters())), {});
    assert.deepEqual(scaler.shapes(), SCALER_METHODS);
  });

  it("are mounted once, by the first call of any of their methods", () => {
    const target = new Target();
    const answered: unknown[] = [];
    const other = { ...METHOD, path: "/p.S/Put" };
    let mounts = 0;
    addDeferred(
      target,
      [METHOD, other],
      (services) => {
        mounts++;
        for (const { path } of [METHOD, other]) {
          const method = { ...METHOD, path, originalName: "call", ...codec() };
          services.addService(
            { Call: method },
            { call: (value: unknown) => void answered.push(path, value) },
          );
        }
      },
      { report: (_method, error) => assert.fail(String(error)) },
    );
    assert.equal(mounts, 0);
    assert.equal(target.methods.get(METHOD.path)?.requestDeserialize(Buffer.from("a")), "a");
    target.handlers.get(METHOD.path)?.("a");
    target.handlers.get(other.path)?.("b");
    assert.deepEqual(answered, [METHOD.path, "a", other.path, "b"]);
    assert.equal(mounts, 1);
  });

  it("report what fails to load, say INTERNAL alone to the caller, and are tried again by the next call", () => {
    const target = new Target();
    const reports: unknown[][] = [];
    const fault = new Error("/srv/lib/health.proto: no such file");
    let broken = true;
    addDeferred(
      target,
      [METHOD],
      (services) => {
        if (broken) throw fault;
        services.addService({ get: { ...METHOD, ...codec() } }, { get: () => undefined });
      },
      { report: (...report) => reports.push(report) },
    );
    assert.throws(() => target.handlers.get(METHOD.path)?.(), { message: INTERNAL });
    assert.throws(() => target.methods.get(METHOD.path)?.requestDeserialize(Buffer.alloc(0)), {
      message: INTERNAL,
    });
    assert.deepEqual(reports, [
      ["Get", fault],
      ["Get", fault],
    ]);
    broken = false;
    target.handlers.get(METHOD.path)?.();
    assert.equal(reports.length, 2);
  });
});

describe("services of modules that the first call imports", () => {
  const method = { ...METHOD, requestStream: false as const };
  const ended = () => new Promise((resolve) => setImmediate(resolve));
  const makeCall = (cancelled = false) => ({
    request: Buffer.from("a") as unknown,
    cancelled,
    emitted: [] as unknown[],
    emit(...event: unknown[]) {
      this.emitted.push(event);
      return true;
    },
  });

  it("get their requests when the module is there, but for calls that have ended", async () => {
    const target = new Target();
    const answered: unknown[] = [];
    let imports = 0;
    addImported(
      target,
      [method],
      async () => {
        imports++;
        return (services) =>
          services.addService(
            { get: { ...METHOD, ...codec() } },
            { get: (call: { request: unknown }) => void answered.push(call.request) },
          );
      },
      { report: (_method, error) => assert.fail(String(error)) },
    );
    assert.equal(imports, 0);
    for (const cancelled of [false, true, false]) target.handlers.get(METHOD.path)?.(makeCall(cancelled));
    await ended();
    assert.deepEqual(answered, ["a", "a"]);
    assert.equal(imports, 1);
  });

  it("report what fails to load, say INTERNAL alone to the caller, and are tried again by the next call", async () => {
    const target = new Target();
    const reports: unknown[][] = [];
    const fault = new Error("/srv/keda.js: no such file");
    let broken = true;
    addImported(
      target,
      [method],
      async () => {
        if (broken) throw fault;
        return (services) =>
          services.addService({ get: { ...METHOD, ...codec() } }, { get: () => undefined });
      },
      { report: (...report) => reports.push(report) },
    );
    const answers: unknown[] = [];
    const stream = makeCall();
    target.handlers.get(METHOD.path)?.(makeCall(), (answer: unknown) => answers.push(answer));
    await ended();
    target.handlers.get(METHOD.path)?.(stream);
    await ended();
    const failure = { code: status.INTERNAL, details: INTERNAL };
    assert.deepEqual([answers, stream.emitted], [[failure], [["error", failure]]]);
    assert.deepEqual(reports, [
      ["Get", fault],
      ["Get", fault],
    ]);
    broken = false;
    target.handlers.get(METHOD.path)?.(makeCall(), () => undefined);
    await ended();
    assert.equal(reports.length, 2);
  });
});

describe("health before its first call", () => {
  it("keeps the states that were set before its first call", () => {
    const health = new Health(["p.S"]);
    const target = new Target();
    const answers: unknown[] = [];
    const check = (service: string) =>
      target.handlers.get("/grpc.health.v1.Health/Check")?.(
        { request: { service } },
        (...answer: unknown[]) => answers.push(...answer),
      );
    health.setServing(false);
    health.mount(target);
    check("");
    health.setServing(true);
    check("p.S");
    assert.deepEqual(answers, [null, { status: "NOT_SERVING" }, null, { status: "SERVING" }]);
  });
});

/** Text as bytes. */
function codec() {
  const write = (message: unknown) => Buffer.from(String(message));
  const read = (bytes: Buffer) => bytes.toString();
  return {
    requestSerialize: write,
    requestDeserialize: read,
    responseSerialize: write,
    responseDeserialize: read,
  };
}
