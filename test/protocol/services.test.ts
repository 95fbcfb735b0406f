import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import { Client, credentials, status } from "@grpc/grpc-js";
import {
  FleetService,
  LauncherService,
  PoolService,
  ScheduleService,
  SubmitTasksRequestSchema,
  TaskService,
  WorkerService,
} from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

const SERVICES = [WorkerService, TaskService, FleetService, ScheduleService, PoolService, LauncherService];

describe("protocol: health, reflection and Connect", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let caller: RawCaller;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    caller = new RawCaller(scheduler.grpc);
  });
  afterEach(() => cutAll());
  after(async () => {
    caller.close();
    await killAll();
    await db.drop();
  });

  it("serves grpc.health.v1 for itself and for each service, and knows no others", async () => {
    for (const name of ["", ...SERVICES.map(({ typeName }) => typeName)]) {
      const answer = await rawUnary(scheduler.grpc, "/grpc.health.v1.Health/Check", field(1, name));
      assert.equal(answer.code, status.OK, name);
      assert.deepEqual([...(answer.bytes ?? [])], [0x08, 0x01], `${name} is SERVING`);
    }
    const unknown = await rawUnary(scheduler.grpc, "/grpc.health.v1.Health/Check", field(1, "no.Such"));
    assert.equal(unknown.code, status.NOT_FOUND);
  });

  it("answers the first calls of reflection alike, of both versions at the same time", async () => {
    const requests = [field(7, "*"), field(4, "muster.v1.Hello")];
    const paths = Array.from({ length: 8 }, (_, n) => reflectionPath(n % 2 === 0 ? "v1" : "v1alpha"));
    const streams = await Promise.all(paths.map((path) => reflect(scheduler.grpc, path, requests)));
    for (const answers of streams) {
      assert.equal(answers.length, requests.length);
      assert.deepEqual(answers, streams[0]);
    }
  });

  it("lists its services and hands out their descriptors by reflection, in both versions", async () => {
    for (const version of ["v1", "v1alpha"]) {
      const path = reflectionPath(version);
      const answers = await reflect(scheduler.grpc, path, [
        field(7, "*"),
        ...SERVICES.map(({ typeName }) => field(4, typeName)),
        field(4, "muster.v1.Hello"),
        field(4, "no.such.Symbol"),
        field(3, "google/protobuf/duration.proto"),
      ]);
      const listed = answers[0]?.toString("latin1") ?? "";
      for (const { typeName } of SERVICES)
        assert.ok(listed.includes(typeName), `${version} lists ${typeName}`);
      for (const [n, { typeName, file }] of SERVICES.entries()) {
        const files = descriptors(answers[n + 1]);
        assert.ok(
          files.some((each) => each.name === `${file.name}.proto` || each.name === file.proto.name),
          `${typeName}: ${files.map(({ name }) => name).join(", ")}`,
        );
      }
      const hello = descriptors(answers[SERVICES.length + 1]);
      assert.ok(hello.some((each) => each.messageType.some(({ name }) => name === "Hello")));
      assert.deepEqual(descriptors(answers[SERVICES.length + 2]), [], "an unknown symbol has no file");
      assert.equal(descriptors(answers[SERVICES.length + 3])[0]?.name, "google/protobuf/duration.proto");
    }
  });

  it("answers JSON by the Connect protocol", async () => {
    const submitted = await post("TaskService/SubmitTasks", {
      tasks: [{ taskType: "json", payload: Buffer.from("{}").toString("base64"), delay: "3600s" }],
    });
    assert.equal(submitted.status, 200);
    const { tasks } = Object(submitted.body);
    const got = await post("TaskService/GetTask", { taskId: tasks[0].taskId });
    assert.equal(Object(got.body).task.taskType, "json");
    assert.equal(Object(got.body).task.state, "TASK_STATE_QUEUED");
    const queues = await post("FleetService/ListQueues", {});
    assert.ok(Object(queues.body).queues.some(({ name }: { name: string }) => name === "default"));
  });

  it("gives the details of an error in JSON: reason, violations", async () => {
    const missing = await post("TaskService/GetTask", { taskId: "t-424242" });
    assert.equal(missing.status, 404);
    assert.equal(Object(missing.body).code, "not_found");
    assert.equal(detail(missing.body, "google.rpc.ErrorInfo").debug?.reason, "TASK_NOT_FOUND");
    const invalid = await post("TaskService/SubmitTasks", {
      tasks: [{ taskType: "bad type!", priority: 5_000 }],
    });
    assert.equal(invalid.status, 400);
    assert.equal(Object(invalid.body).code, "invalid_argument");
    const fields = detail(invalid.body, "google.rpc.BadRequest").debug?.fieldViolations ?? [];
    assert.deepEqual(
      fields.map(({ field: name }) => name),
      ["tasks[0].task_type", "tasks[0].priority"],
    );
  });

  it("refuses what is no request, over HTTP", async () => {
    const garbage = await fetch(`${scheduler.http}/muster.v1.TaskService/GetTask`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: "{",
    });
    assert.equal(garbage.status, 400);
    assert.equal((await post("TaskService/NoSuchMethod", {})).status, 404);
    const worker = await fetch(`${scheduler.http}/muster.v1.WorkerService/WorkerStream`, { method: "POST" });
    assert.equal(worker.status, 404, "workers come by gRPC");
    for (const path of ["/livez", "/readyz", "/"]) {
      assert.equal((await fetch(scheduler.http + path)).status, 200, path);
    }
  });

  it("limits sizes with RESOURCE_EXHAUSTED or a reason", async () => {
    const tooLong = await caller.bytes(TaskService.method.submitTasks, Buffer.alloc(5 * 1024 * 1024));
    assert.equal(tooLong.code, status.RESOURCE_EXHAUSTED);
    const bulky = toBinary(
      SubmitTasksRequestSchema,
      create(SubmitTasksRequestSchema, {
        tasks: [{ taskType: "big", payload: Buffer.alloc(1024 * 1024 + 1) }],
      }),
    );
    const payload = await caller.bytes(TaskService.method.submitTasks, bulky);
    assert.equal(payload.code, status.INVALID_ARGUMENT);
    assert.equal(payload.reason, "PAYLOAD_TOO_LARGE");
    const worker = await RawWorker.connect(scheduler.grpc, { hello: { taskTypes: [] } }).catch(
      () => undefined,
    );
    assert.equal(worker, undefined, "a worker without types is refused");
    const huge = await RawWorker.connect(scheduler.grpc);
    huge.sendBytes(Buffer.alloc(5 * 1024 * 1024));
    assert.equal((await huge.ended).code, status.RESOURCE_EXHAUSTED);
  });

  it("says INVALID_ARGUMENT of malformed bytes in every unary method", async () => {
    for (const service of SERVICES) {
      for (const method of service.methods) {
        if (method.methodKind !== "unary") continue;
        const answer = await caller.bytes(method, Buffer.from([0x0a, 0x7f, 0x01]));
        assert.equal(answer.code, status.INVALID_ARGUMENT, method.name);
        assert.equal(answer.reason, "INVALID_MESSAGE", method.name);
      }
    }
  });

  it("takes a task with fractions of milliseconds to its worker", async () => {
    const worker = await RawWorker.connect(scheduler.grpc, {
      hello: { taskTypes: [{ taskType: "fraction" }] },
    });
    const tiny = { seconds: 1n, nanos: 234_567 };
    const { tasks } = await caller.call(TaskService.method.submitTasks, {
      tasks: [
        {
          taskType: "fraction",
          timeouts: { run: tiny, phases: { load: tiny } },
          retryPolicy: { backoff: { case: "fixed", value: { delays: [tiny] } } },
        },
      ],
    });
    const assignment = await worker.assignment(tasks[0]?.taskId ?? "");
    assert.deepEqual([assignment.runTimeout?.seconds, assignment.runTimeout?.nanos], [1n, 1_000_000]);
    worker.succeed(assignment.attemptId);
    await worker.next("resultAcks");
  });

  it("shows a worker whose heartbeats have impossible numbers, and renews the others", async () => {
    const [odd, other] = [await RawWorker.connect(scheduler.grpc), await RawWorker.connect(scheduler.grpc)];
    odd.send({
      case: "heartbeat",
      value: {
        sequence: 2n ** 63n - 1n,
        slotCount: -5,
        running: [
          {
            attemptId: "a\0b",
            phase: "\0",
            progress: Number.NaN,
            phaseAge: { seconds: 2n ** 62n, nanos: -1 },
          },
        ],
        eventLoopAge: { seconds: -(2n ** 62n), nanos: 5 },
        cpuUsage: Number.POSITIVE_INFINITY,
        rssBytes: 2n ** 63n - 1n,
        pauseReason: "\0",
        counters: { "\0": -(2n ** 63n) },
      },
    });
    await odd.next("heartbeatAck", ({ sequence }) => sequence === 2n ** 63n - 1n);
    // All heartbeats are written when this one is: they go in one statement.
    await until("its heartbeat is stored", async () => {
      const { worker } = await caller.call(FleetService.method.getWorker, { workerId: odd.workerId });
      return worker?.lastHeartbeat ? true : undefined;
    });
    const { workers } = await caller.call(FleetService.method.listWorkers, {});
    assert.ok(workers.some(({ id }) => id === other.workerId));
  });

  async function post(path: string, body: unknown): Promise<{ status: number; body: unknown }> {
    const response = await fetch(`${scheduler.http}/muster.v1.${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    return { status: response.status, body: text.startsWith("{") ? JSON.parse(text) : text };
  }
});

interface ErrorDetail {
  readonly type: string;
  readonly debug?: {
    readonly reason?: string;
    readonly fieldViolations?: readonly { readonly field: string }[];
  };
}

function detail(body: unknown, type: string): ErrorDetail {
  const details: ErrorDetail[] = Object(body).details ?? [];
  const found = details.find((each) => each.type === type);
  assert.ok(found, `${type} is among ${JSON.stringify(details)}`);
  return found;
}

/** A message with one string field. */
function field(number: number, value: string): Buffer {
  const text = Buffer.from(value);
  return Buffer.concat([Buffer.from([(number << 3) | 2, text.length]), text]);
}

function rawUnary(
  address: string,
  path: string,
  request: Buffer,
): Promise<{ code: status; bytes: Buffer | undefined }> {
  const client = new Client(address, credentials.createInsecure());
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      path,
      (value: Buffer) => value,
      (value: Buffer) => value,
      request,
      (error, bytes) => {
        client.close();
        resolve({ code: error?.code ?? status.OK, bytes });
      },
    );
  });
}

function reflectionPath(version: string): string {
  return `/grpc.reflection.${version}.ServerReflection/ServerReflectionInfo`;
}

/** Sends the requests on one reflection stream and answers what came, in order. */
function reflect(address: string, path: string, requests: readonly Buffer[]): Promise<Buffer[]> {
  const client = new Client(address, credentials.createInsecure());
  const call = client.makeBidiStreamRequest(
    path,
    (value: Buffer) => value,
    (value: Buffer) => value,
  );
  return new Promise((resolve, reject) => {
    const answers: Buffer[] = [];
    call.on("data", (bytes: Buffer) => answers.push(bytes));
    call.on("error", reject);
    call.on("end", () => {
      client.close();
      resolve(answers);
    });
    for (const request of requests) call.write(request);
    call.end();
  });
}

/** File descriptors of a ServerReflectionResponse: field 4, a message with repeated bytes in field 1. */
function descriptors(response: Buffer | undefined) {
  const inner = fields(response ?? Buffer.alloc(0)).find(([number]) => number === 4)?.[1];
  return fields(inner ?? Buffer.alloc(0)).map(([, bytes]) => fromBinary(FileDescriptorProtoSchema, bytes));
}

/** Length-delimited fields of a message. */
function fields(bytes: Buffer): [number, Buffer][] {
  const found: [number, Buffer][] = [];
  const varint = (at: number): [number, number] => {
    let value = 0;
    for (let shift = 0; ; shift += 7, at++) {
      const byte = bytes[at] ?? 0;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return [value, at + 1];
    }
  };
  for (let at = 0; at < bytes.length; ) {
    const [tag, afterTag] = varint(at);
    const [length, start] = varint(afterTag);
    if ((tag & 7) === 2) {
      found.push([tag >> 3, bytes.subarray(start, start + length)]);
      at = start + length;
    } else at = start;
  }
  return found;
}
