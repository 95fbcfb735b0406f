import assert from "node:assert/strict";
import { connect } from "node:net";
import { after, before, describe, it } from "node:test";
import { create, type DescMethod, fromBinary, toBinary } from "@bufbuild/protobuf";
import { credentials, Client as GrpcClient, type Metadata, status } from "@grpc/grpc-js";
import {
  FleetService,
  grpcMethodDefinition,
  TaskService,
  WatchEventsResponseSchema,
  WatchTaskResponseSchema,
} from "@muster/protocol";
import { Client } from "@muster/worker/client";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { findNginx, type Nginx, startNginx } from "../support/peers/nginx.ts";
import { reasonOf } from "../support/peers/raw-worker.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { startTestScheduler, startTestWorker, type TestScheduler } from "../support/programs/scheduler.ts";

const { watchTask } = TaskService.method;
const { watchEvents } = FleetService.method;

/** Messages of an open stream, as they come. */
interface Watch {
  readonly messages: AsyncIterator<Buffer>;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ code: status; reason: string }>;
  /** Resolves when the headers have come. */
  readonly headers: Promise<Metadata>;
  close(): void;
}

const nginx = findNginx();

describe("protocol: watches through a proxy", { skip: typeof nginx === "string" && nginx }, () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let proxy: Nginx;
  /** Cuts what is silent for longer than two heartbeats of a watch; the other one does before the first. */
  let patient = { grpc: "", http: "" };
  let hasty = patient;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url, args: ["--watch-heartbeat", "1"] });
    assert.ok(typeof nginx !== "string");
    proxy = await startNginx(nginx, scheduler, ["2500ms", "600ms"]);
    [patient = patient, hasty = hasty] = proxy.addresses;
  });
  after(async () => {
    await proxy?.stop();
    await killAll();
    await db.drop();
  });

  it("T43: stay while nothing happens, by gRPC and by HTTP, and bring what happens then", async () => {
    const client = new Client({ scheduler: scheduler.grpc });
    const task = await client.submit("unserved");
    const watches = [
      grpcWatch(patient.grpc, watchEvents, {}),
      grpcWatch(patient.grpc, watchTask, { taskId: task.id }),
      await httpWatch(patient.http, watchEvents, {}),
      await httpWatch(patient.http, watchTask, { taskId: task.id }),
    ];
    // Four heartbeats take longer than the proxy waits.
    const heard = await Promise.all(watches.map((watch) => take(watch, 5)));
    for (const [n, messages] of heard.entries()) assert.equal(messages.length, 5, `watch ${n} was cut`);
    const [events = [], states = []] = heard;
    assert.ok(events.every((bytes) => fromBinary(WatchEventsResponseSchema, bytes).events.length === 0));
    const tasks = states.map((bytes) => fromBinary(WatchTaskResponseSchema, bytes).task?.id);
    assert.deepEqual(tasks, [task.id, ...Array.from({ length: 4 }, () => undefined)]);
    await task.cancel();
    const said = (bytes: Buffer) => bytes.toString("latin1");
    const brings = ["cancelled", task.id, "cancelled", "CANCELLED"];
    await Promise.all(
      watches.map((watch, n) => until(watch, (bytes) => said(bytes).includes(brings[n] ?? ""))),
    );
    for (const watch of watches) watch.close();
    client.close();
  });

  it("T43: send their headers at once", async () => {
    for (const [method, request] of [
      [watchEvents, {}],
      [TaskService.method.submitStream, undefined],
    ] as const) {
      const watch = grpcWatch(patient.grpc, method, request);
      await watch.headers;
      watch.close();
    }
  });

  it("T43: that are cut are taken up again by the client and by the CLI", async () => {
    const client = new Client({ scheduler: hasty.grpc });
    const follower = Program.start("events", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["events", "--follow", "--json", "--scheduler", hasty.grpc],
    });
    const task = await client.submit("echo", { n: 1 });
    const result = task.result();
    // A first watch has been cut by then, and a second, too.
    await cut(hasty.grpc, task.id);
    await cut(hasty.grpc, task.id);
    await startTestWorker({ scheduler: scheduler.grpc, id: "late" });
    assert.deepEqual(await result, { n: 1 });
    for (;;) {
      if (new RegExp(`succeeded.*${task.id}|${task.id}.*succeeded`).test(follower.stdout)) break;
      assert.ok(follower.alive, follower.tail());
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await follower.end("SIGINT");
    // An idle stream of submits was cut as well.
    assert.match((await client.submit("echo")).id, /^t-/);
    client.close();
  });

  /** Resolves when the hasty proxy has cut a watch. */
  async function cut(address: string, taskId: string): Promise<void> {
    const { code } = await grpcWatch(address, watchTask, { taskId }).ended;
    assert.notEqual(code, status.OK);
  }
});

describe("protocol: old and half-open connections", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({
      databaseUrl: db.url,
      args: ["--max-connection-age", "1", "--max-connection-age-grace", "0.5"],
    });
  });
  after(async () => {
    await killAll();
    await db.drop();
  });

  it("T43: an old watch ends and is taken up again; a worker keeps its stream and its attempt", async () => {
    const worker = await startTestWorker({ scheduler: scheduler.grpc, id: "kept" });
    const client = new Client({ scheduler: scheduler.grpc });
    const task = await client.submit("sleep", { ms: 4_000 });
    const result = task.result();
    for (let n = 0; n < 2; n++) {
      const { code, reason } = await grpcWatch(scheduler.grpc, watchTask, { taskId: task.id }).ended;
      assert.deepEqual([code, reason], [status.UNAVAILABLE, "STREAM_AGED"]);
    }
    await result;
    assert.equal((await task.get()).attemptCount, 1);
    client.close();
    const alarming = [...scheduler.program.lines, ...worker.lines].filter(({ event }) =>
      /suspect|lost|reconnect|disconnect/.test(event),
    );
    assert.deepEqual(alarming, []);
  });

  it("T43: a peer that does not answer pings is closed", async () => {
    const { grpc } = await startTestScheduler({ databaseUrl: db.url, args: ["--keepalive", "1"] });
    const socket = connect({ host: "127.0.0.1", port: Number(grpc.split(":").at(-1)) });
    const settings = Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    socket.write(Buffer.concat([Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), settings]));
    socket.resume();
    await new Promise((resolve) => socket.once("close", resolve));
  });
});

/** Opens a stream on a connection of its own. @param request Undefined: nothing is sent. */
function grpcWatch(address: string, method: DescMethod, request: object | undefined): Watch {
  const client = new GrpcClient(address, credentials.createInsecure(), {
    "grpc.use_local_subchannel_pool": 1,
  });
  const asIs = (bytes: Buffer) => bytes;
  const call = client.makeBidiStreamRequest(grpcMethodDefinition(method).path, asIs, asIs);
  if (request) {
    call.write(Buffer.from(toBinary(method.input, create(method.input, { ...request }))));
    call.end();
  }
  call.on("error", () => undefined);
  const ended = new Promise<{ code: status; reason: string }>((resolve) => {
    call.on("status", ({ code, metadata }) => {
      client.close();
      resolve({ code, reason: reasonOf(metadata) });
    });
  });
  const headers = new Promise<Metadata>((resolve) => call.on("metadata", resolve));
  const queue: Buffer[] = [];
  let found: () => void = () => undefined;
  let over = false;
  call.on("data", (bytes: Buffer) => {
    queue.push(bytes);
    found();
  });
  void ended.then(() => {
    over = true;
    found();
  });
  async function* messages() {
    for (;;) {
      const next = queue.shift();
      if (next) yield next;
      else if (over) return;
      else
        await new Promise<void>((resolve) => {
          found = resolve;
        });
    }
  }
  return { messages: messages(), ended, headers, close: () => call.cancel() };
}

/** The same by Connect: each message is a flag, its length and JSON. */
async function httpWatch(address: string, method: DescMethod, request: object): Promise<Watch> {
  const body = Buffer.from(JSON.stringify(request));
  const head = Buffer.alloc(5);
  head.writeUInt32BE(body.length, 1);
  const stop = new AbortController();
  const response = await fetch(`http://${address}/${method.parent.typeName}/${method.name}`, {
    method: "POST",
    headers: { "content-type": "application/connect+json" },
    body: Buffer.concat([head, body]),
    signal: stop.signal,
  });
  assert.equal(response.status, 200);
  async function* messages() {
    let held = Buffer.alloc(0);
    for await (const chunk of response.body ?? []) {
      held = Buffer.concat([held, chunk]);
      while (held.length >= 5 && held.length >= 5 + held.readUInt32BE(1)) {
        const end = 5 + held.readUInt32BE(1);
        yield held.subarray(5, end);
        held = held.subarray(end);
      }
    }
  }
  return {
    messages: messages(),
    ended: new Promise(() => undefined),
    headers: new Promise(() => undefined),
    close: () => stop.abort(),
  };
}

async function take({ messages }: Watch, count: number): Promise<Buffer[]> {
  const taken: Buffer[] = [];
  while (taken.length < count) {
    const next = await messages.next();
    if (next.done) break;
    taken.push(next.value);
  }
  return taken;
}

async function until({ messages }: Watch, fits: (bytes: Buffer) => boolean): Promise<void> {
  for (;;) {
    const next = await messages.next();
    assert.ok(!next.done, "the watch ended before that");
    if (fits(next.value)) return;
  }
}
