import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { connect as connectHttp2 } from "node:http2";
import { connect, type Socket } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { credentials, Client as GrpcClient, type ServiceError, status as Status } from "@grpc/grpc-js";
import { TaskService, WorkerMessageSchema, WorkerService } from "@muster/protocol";
import type { TaskHandle } from "@muster/worker/client";
import { Fleet, type Gate } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { until, within } from "../support/waits.ts";

const WORKER_STREAM = `/${WorkerService.typeName}/${WorkerService.method.workerStream.name}`;
const SUBMIT = `/${TaskService.typeName}/SubmitTasks`;

/** How a stream ended. */
interface End {
  readonly code: Status;
  readonly details: string;
}

describe("F29: garbage on the wire", () => {
  let fleet: Fleet;
  let neighbour: Program;
  let gate: Gate;
  let handle: TaskHandle;
  let mark: number;

  before(async () => {
    fleet = await Fleet.start({ args: ["--hello-timeout", "0.5"] });
    neighbour = await fleet.worker("neighbour", { slots: 4 });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** Every test runs beside a worker with a task, and ends with that worker unharmed. */
  beforeEach(async () => {
    gate = fleet.gate();
    handle = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.ran(handle.id);
    mark = neighbour.mark();
  });

  async function unharmed(): Promise<void> {
    assert.ok(fleet.scheduler.program.alive, fleet.scheduler.program.tail());
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "neighbour", attempt: 1 });
    assert.equal(fleet.runs(handle.id).length, 1);
    const dropped = neighbour.lines.slice(mark).filter(({ event }) => event === "worker.disconnected");
    assert.deepEqual(dropped, [], "the neighbour's stream broke");
    const { workers } = await fleet.client.fleet.listWorkers({});
    assert.deepEqual(
      workers.map(({ id }) => id),
      ["neighbour"],
      "a session leaked",
    );
    const failures = fleet.scheduler.program.lines.filter(
      ({ event }) => event === "worker.stream_failed" || event === "rpc.failed",
    );
    assert.deepEqual(failures, []);
  }

  it("bytes that are no HTTP/2", async () => {
    for (const bytes of [
      randomBytes(4_096),
      Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
      Buffer.alloc(65_536),
      Buffer.from("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ]) {
      await closedAfter(bytes);
    }
    await unharmed();
  });

  it("an HTTP/2 preface, then garbage frames", async () => {
    const preface = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    const hugeFrame = Buffer.from([0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]);
    const badHeaders = Buffer.concat([Buffer.from([0, 0, 64, 1, 4, 0, 0, 0, 1]), Buffer.alloc(64, 0xff)]);
    for (const frames of [hugeFrame, badHeaders]) {
      await closedAfter(Buffer.concat([preface, settings, frames]));
    }
    await unharmed();
  });

  it("connections that say nothing, or half of it, and go", async () => {
    const sockets: Socket[] = [];
    for (let n = 0; n < 50; n++) {
      const socket = await dial();
      if (n % 2 === 0) socket.write("PRI * HTTP/2.0\r\n\r\n");
      sockets.push(socket);
    }
    for (const socket of sockets) socket.resetAndDestroy();
    await unharmed();
  });

  it("bytes that are no message end the stream with INVALID_ARGUMENT", async () => {
    for (const bytes of [randomBytes(512), Buffer.alloc(64, 0xff), hello().subarray(0, -3)]) {
      const end = await stream([bytes]);
      assert.equal(Status[end.code], "INVALID_ARGUMENT", end.details);
    }
    await unharmed();
  });

  it("messages in the wrong order end the stream with INVALID_ARGUMENT", async () => {
    const beat = toBinary(
      WorkerMessageSchema,
      create(WorkerMessageSchema, { kind: { case: "heartbeat", value: { sequence: 1n } } }),
    );
    const empty = toBinary(WorkerMessageSchema, create(WorkerMessageSchema));
    for (const first of [beat, empty, hello({ workerId: "" }), hello({ sessionId: "not-a-uuid" })]) {
      const end = await stream([first]);
      assert.equal(Status[end.code], "INVALID_ARGUMENT", end.details);
    }
    await unharmed();
  });

  it("a message of 100 MB ends the stream with RESOURCE_EXHAUSTED", async () => {
    const end = await stream([Buffer.alloc(100 * 1024 * 1024)]);
    assert.equal(Status[end.code], "RESOURCE_EXHAUSTED", end.details);
    const call = await unary(SUBMIT, Buffer.alloc(100 * 1024 * 1024));
    assert.equal(Status[call.code], "RESOURCE_EXHAUSTED", call.details);
    await unharmed();
  });

  it("half a message is waited for no longer than a hello may take", async () => {
    const session = connectHttp2(`http://${fleet.scheduler.grpc}`);
    const request = session.request({
      ":method": "POST",
      ":path": WORKER_STREAM,
      "content-type": "application/grpc",
      te: "trailers",
    });
    const ended = new Promise<string>((resolve, reject) => {
      request.on("trailers", (headers) => resolve(String(headers["grpc-status"])));
      request.on("response", (headers) => {
        if (headers["grpc-status"] !== undefined) resolve(String(headers["grpc-status"]));
      });
      request.on("error", reject);
    });
    request.resume();
    // The prefix promises 1,000 bytes; ten come.
    request.write(Buffer.concat([Buffer.from([0, 0, 0, 3, 232]), Buffer.alloc(10)]));
    let grpcStatus: string | undefined;
    void ended.then((value) => {
      grpcStatus = value;
    });
    await within("the stream ends", 500, () => grpcStatus);
    assert.equal(await ended, String(Status.DEADLINE_EXCEEDED));
    session.destroy();
    await unharmed();
  });

  it("a unary call with bytes that are no message is INVALID_ARGUMENT", async () => {
    for (const bytes of [randomBytes(300), Buffer.alloc(40, 0xff)]) {
      const end = await unary(SUBMIT, bytes);
      assert.equal(Status[end.code], "INVALID_ARGUMENT", end.details);
    }
    const unknown = await unary(`/${TaskService.typeName}/NoSuchMethod`, Buffer.alloc(0));
    assert.equal(Status[unknown.code], "UNIMPLEMENTED", unknown.details);
    await unharmed();
  });

  function dial(): Promise<Socket> {
    const [host = "", port = ""] = fleet.scheduler.grpc.split(":");
    return new Promise((resolve, reject) => {
      const socket = connect(Number(port), host, () => resolve(socket));
      socket.once("error", reject);
      socket.on("error", () => undefined);
    });
  }

  /** Sends the bytes and waits until the scheduler has hung up. */
  async function closedAfter(bytes: Buffer): Promise<void> {
    const socket = await dial();
    let closed = false;
    socket.once("close", () => {
      closed = true;
    });
    socket.resume();
    socket.write(bytes);
    await until("the scheduler hangs up", () => (closed ? true : undefined));
    socket.destroy();
  }

  function stream(messages: readonly Uint8Array[]): Promise<End> {
    return new Promise((resolve) => {
      const client = rawClient();
      const call = client.makeBidiStreamRequest<Buffer, Buffer>(WORKER_STREAM, identity, identity);
      call.on("data", () => undefined);
      call.on("error", () => undefined);
      call.on("status", ({ code, details }) => {
        client.close();
        resolve({ code, details });
      });
      for (const message of messages) call.write(Buffer.from(message));
    });
  }

  function unary(path: string, bytes: Buffer): Promise<End> {
    return new Promise((resolve) => {
      const client = rawClient();
      client.makeUnaryRequest<Buffer, Buffer>(
        path,
        identity,
        identity,
        bytes,
        (error: ServiceError | null) => {
          client.close();
          resolve({ code: error?.code ?? Status.OK, details: error?.details ?? "" });
        },
      );
    });
  }

  function rawClient(): GrpcClient {
    return new GrpcClient(fleet.scheduler.grpc, credentials.createInsecure(), {
      "grpc.max_send_message_length": -1,
      "grpc.use_local_subchannel_pool": 1,
    });
  }
});

function identity(bytes: Buffer): Buffer {
  return bytes;
}

function hello(fields: { workerId?: string; sessionId?: string } = {}): Uint8Array {
  const value = {
    protocolVersion: 1,
    workerId: "abuser",
    sessionId: "6f1c2b1e-0f5e-4f0e-9d3c-2f8f6f0a7b11",
    taskTypes: [{ taskType: "echo", concurrency: 1 }],
    queues: ["default"],
    slotCount: 1,
    ...fields,
  };
  return toBinary(WorkerMessageSchema, create(WorkerMessageSchema, { kind: { case: "hello", value } }));
}
