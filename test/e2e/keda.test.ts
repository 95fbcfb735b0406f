/** Plays KEDA: calls the external scaler with a client that is made from KEDA's own proto. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  type Client,
  type ClientReadableStream,
  credentials,
  loadPackageDefinition,
  Metadata,
  type ServiceClientConstructor,
  type ServiceError,
  status,
} from "@grpc/grpc-js";
import { loadSync } from "@grpc/proto-loader";
import { parseAllDocuments } from "yaml";
import { Fleet } from "../support/fleet/fleet.ts";
import { poolSpec } from "../support/fleet/pool-launcher.ts";
import { killAll } from "../support/programs/program.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const TOKEN = "the-token-of-the-keda-test";
const PROTO = join(ROOT, "third_party/keda/externalscaler.proto");

type Trigger = Readonly<Record<string, string>>;

describe("KEDA's external scaler", () => {
  let fleet: Fleet;
  let keda: Client;

  before(async () => {
    fleet = await Fleet.start({ token: TOKEN });
    const loaded = loadPackageDefinition(loadSync(PROTO, { keepCase: true, longs: Number, defaults: true }));
    const { ExternalScaler } = loaded.externalscaler as unknown as {
      ExternalScaler: ServiceClientConstructor;
    };
    keda = new ExternalScaler(fleet.scheduler.grpc, credentials.createInsecure());
  });

  after(async () => {
    keda.close();
    await killAll();
    await fleet.stop();
  });

  const ref = (scalerMetadata: Trigger) => ({ name: "workers", namespace: "default", scalerMetadata });
  const withToken = (trigger: Trigger) => ({ ...trigger, tokenFromEnv: TOKEN });

  const call = <T>(method: string, request: unknown, metadata = new Metadata()) =>
    new Promise<T>((resolve, reject) => {
      const send = Object(keda)[method].bind(keda);
      send(request, metadata, (error: ServiceError | null, answer: T) =>
        error ? reject(error) : resolve(answer),
      );
    });

  const isActive = async (trigger: Trigger) =>
    (await call<{ result: boolean }>("IsActive", ref(withToken(trigger)))).result;

  /** As KEDA reads a metric: the whole number, unless there is another one. */
  const metric = async (trigger: Trigger) => {
    const scaledObjectRef = ref(withToken(trigger));
    const spec = await call<{ metricSpecs: { metricName: string; targetSizeFloat: number }[] }>(
      "GetMetricSpec",
      scaledObjectRef,
    );
    const [{ metricName = "", targetSizeFloat = 0 } = {}] = spec.metricSpecs;
    const { metricValues } = await call<{
      metricValues: { metricValue: number; metricValueFloat: number }[];
    }>("GetMetrics", { scaledObjectRef, metricName });
    const [{ metricValue = 0, metricValueFloat = 0 } = {}] = metricValues;
    return { name: metricName, target: targetSizeFloat, value: metricValueFloat || metricValue };
  };

  const refused = async (answer: Promise<unknown>): Promise<ServiceError> => {
    const error = await answer.then(
      () => assert.fail("it was answered"),
      (thrown: unknown) => thrown,
    );
    return error as ServiceError;
  };

  it("counts tasks that wait and tasks that run, by type, queue or both", async () => {
    assert.equal(await isActive({ taskType: "echo", queue: "counted" }), false);
    const gate = fleet.gate();
    await fleet.client.submit("gate", { gate: gate.path }, { queue: "counted" });
    for (let n = 0; n < 3; n++) await fleet.client.submit("echo", { n }, { queue: "counted" });
    await until("all wait", async () => (await metric({ queue: "counted" })).value === 4 || undefined);
    assert.deepEqual(await metric({ taskType: "echo", queue: "counted", tasksPerWorker: "2" }), {
      ...{ name: "muster-tasks", target: 2, value: 3 },
    });
    assert.equal(await isActive({ taskType: "gate" }), true);
    assert.equal(await isActive({ taskType: "other", queue: "counted" }), false);
    await fleet.worker("counting", { queue: "counted", slots: 2 });
    // One that runs still needs its worker.
    await until("one is left", async () => (await metric({ queue: "counted" })).value === 1 || undefined);
    assert.equal(await isActive({ queue: "counted" }), true);
    gate.open();
    await until("none is left", async () => !(await isActive({ queue: "counted" })) || undefined);
    assert.equal((await metric({ queue: "counted" })).value, 0);
  });

  it("does not count tasks of a paused queue", async () => {
    await fleet.client.submit("echo", {}, { queue: "held" });
    await until("it waits", async () => (await metric({ queue: "held" })).value === 1 || undefined);
    await fleet.client.fleet.pauseQueue({ queue: "held", reason: "test" });
    await until("it does not count", async () => (await metric({ queue: "held" })).value === 0 || undefined);
  });

  it("says how many workers a pool wants, within its bounds", async () => {
    await fleet.client.pools.applyPool({ spec: poolSpec(fleet, { name: "scaled", min: 1, max: 2 }) });
    assert.deepEqual(await metric({ pool: "scaled" }), { name: "muster-workers", target: 1, value: 1 });
    for (let n = 0; n < 5; n++) await fleet.client.submit("echo", { n }, { queue: "scaled" });
    await until(
      "it wants its maximum",
      async () => (await metric({ pool: "scaled" })).value === 2 || undefined,
    );
    const missing = await refused(isActive({ pool: "missing" }));
    assert.equal(missing.code, status.NOT_FOUND);
    assert.match(missing.details, /there is no pool "missing"/);
  });

  it("streams whether it is active when that changes", async () => {
    const open = Object(keda).StreamIsActive.bind(keda);
    const stream: ClientReadableStream<{ result: boolean }> = open(ref(withToken({ queue: "streamed" })));
    stream.on("error", () => undefined);
    const seen = stream[Symbol.asyncIterator]();
    assert.deepEqual((await seen.next()).value, { result: false });
    const task = await fleet.client.submit("echo", {}, { queue: "streamed" });
    assert.deepEqual((await seen.next()).value, { result: true });
    await task.cancel();
    assert.deepEqual((await seen.next()).value, { result: false });
    stream.cancel();
  });

  it("streams its target once, which the metadata decides", async () => {
    const open = Object(keda).StreamMetricSpec.bind(keda);
    const stream: ClientReadableStream<{ metricSpecs: { targetSize: number }[] }> = open(
      ref(withToken({ queue: "streamed", tasksPerWorker: "7" })),
    );
    stream.on("error", () => undefined);
    const { value } = await stream[Symbol.asyncIterator]().next();
    assert.equal(value?.metricSpecs[0]?.targetSize, 7);
    stream.cancel();
  });

  it("names the key that is wrong", async () => {
    const typo = await refused(isActive({ taskTyp: "ocr", queue: "a" }));
    assert.equal(typo.code, status.INVALID_ARGUMENT);
    assert.match(typo.details, /scalerMetadata\."taskTyp" is not known/);
    const other = await refused(
      call("GetMetrics", { scaledObjectRef: ref(withToken({ queue: "a" })), metricName: "s0-x" }),
    );
    assert.equal(other.code, status.INVALID_ARGUMENT);
    assert.match(other.details, /"s0-x" is not the metric of this trigger, which is muster-tasks/);
  });

  it("wants the token, in the header or as KEDA sends it", async () => {
    const trigger = { queue: "a" };
    for (const scalerMetadata of [trigger, { ...trigger, tokenFromEnv: "another" }])
      assert.equal((await refused(call("IsActive", ref(scalerMetadata)))).code, status.UNAUTHENTICATED);
    const header = new Metadata();
    header.set("authorization", `Bearer ${TOKEN}`);
    assert.deepEqual(await call("IsActive", ref(trigger), header), { result: false });
  });

  it("takes the trigger of docs/keda.md as KEDA would send it", async () => {
    const page = await readFile(join(ROOT, "docs/keda.md"), "utf8");
    const [, example = ""] = /^```yaml keda\.yaml\n([\s\S]*?)^```$/m.exec(page) ?? [];
    const [deployment, scaled] = parseAllDocuments(example).map((document) => Object(document.toJS()));
    assert.equal(scaled.spec.scaleTargetRef.name, deployment.metadata.name);
    const [{ metadata }] = scaled.spec.triggers;
    const [container] = deployment.spec.template.spec.containers;
    const variable = container.env.find(({ name }: { name: string }) => name === metadata.tokenFromEnv);
    assert.deepEqual(variable?.valueFrom, { secretKeyRef: { name: "muster", key: "token" } });
    const answer = await call("IsActive", ref({ ...metadata, tokenFromEnv: TOKEN }));
    assert.deepEqual(answer, { result: false });
    assert.equal((await metric(metadata)).target, 4);
  });
});
