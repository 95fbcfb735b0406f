import assert from "node:assert/strict";
import { after, afterEach, before, describe, it } from "node:test";
import { create, type DescMethod, fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, status } from "@grpc/grpc-js";
import {
  BadRequestSchema,
  FleetService,
  grpcMethodDefinition,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  SubmitStreamRequestSchema,
  TaskService,
  WorkerMessageSchema,
} from "@muster/protocol";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { RawCaller } from "../support/peers/raw-call.ts";
import { RawSubmits } from "../support/peers/raw-submits.ts";
import { cutAll, RawWorker } from "../support/peers/raw-worker.ts";
import { killAll } from "../support/programs/program.ts";
import { startTestScheduler, type TestScheduler } from "../support/programs/scheduler.ts";
import { CALLS, lawful, leaves } from "./leaves.ts";

const EMOJI = "\u{1F600}";

/** Cut anywhere, one of the first two is cut within a character. */
const TEXTS: readonly string[] = [
  EMOJI.repeat(300),
  `x${EMOJI.repeat(300)}`,
  `t-1${EMOJI.repeat(3)}`,
  `${"x".repeat(63)}${EMOJI}`,
  "a\0b\u001b[31m\r\n",
  "\ufeff\u202e",
];

/** Only JSON can carry halves of characters. */
const HALVES: readonly string[] = ["\ud83d", "\ude00", `${"x".repeat(63)}\ud83d`];

/** A caller's own faults, and what is no fault. */
const RIGHT = new Set([status.OK, status.INVALID_ARGUMENT, status.NOT_FOUND, status.FAILED_PRECONDITION]);

const WITHIN_MS = 5_000;

describe("protocol: text on its way out", () => {
  let db: TestDatabase;
  let scheduler: TestScheduler;
  let caller: RawCaller;
  let bystander: RawWorker;

  before(async () => {
    db = await createDatabase();
    scheduler = await startTestScheduler({ databaseUrl: db.url });
    caller = new RawCaller(scheduler.grpc);
    bystander = await RawWorker.connect(scheduler.grpc, {
      workerId: "bystander",
      hello: { taskTypes: [{ $typeName: "muster.v1.TaskTypeCapacity", taskType: "other", concurrency: 0 }] },
    });
  });
  afterEach(async () => {
    assert.ok(scheduler.program.alive, scheduler.program.tail());
    assert.deepEqual(
      scheduler.program.lines.filter(
        ({ event }) => event === "rpc.failed" || event === "worker.stream_failed",
      ),
      [],
    );
    const sent = bystander.beat();
    await bystander.next("heartbeatAck", ({ sequence }) => sequence >= sent);
  });
  after(async () => {
    cutAll();
    caller.close();
    await killAll();
    await db.drop();
  });

  it("T1: every text field of every call is answered over gRPC and over HTTP, whatever it is cut to", async () => {
    let asked = 0;
    for (const method of CALLS) {
      const base = lawful(method.input);
      for (const leaf of leaves(method.input).filter(({ kind }) => kind === "string")) {
        const what = `${method.name} ${leaf.path}`;
        await Promise.all([
          ...TEXTS.map(async (text) => {
            const request = toBinary(method.input, create(method.input, leaf.at(base, text)));
            if (method.methodKind === "unary") {
              const { code, details } = await caller.bytes(method, request, WITHIN_MS);
              assert.ok(RIGHT.has(code), `${what}: ${status[code]} ${details}`);
              assert.ok(details.isWellFormed() && encodeURI(details).length <= 1_024, what);
            } else if (method.name !== "WatchEvents" || leaf.path === "task_id") {
              assert.ok(RIGHT.has(await caller.stream(method, request, 1)), what);
            }
          }),
          ...[...TEXTS, ...HALVES].map(async (text) => {
            if (method.methodKind !== "unary" || method.parent.name === "WorkerService") return;
            const answered = await byHttp(method, leaf.at(base, text));
            assert.ok([200, 400, 404].includes(answered.status), `${what} by HTTP: ${answered.status}`);
            await answered.json();
          }),
        ]);
        asked += 1;
      }
    }
    assert.ok(asked > 60, `${asked} fields`);
  });

  it("T1: the ids of the sample are refused in words that name them", async () => {
    for (const length of [40, 64, 140]) {
      const taskId = `${"x".repeat(length - 1)}${EMOJI}`;
      const request = toBinary(
        TaskService.method.getTask.input,
        create(TaskService.method.getTask.input, { taskId }),
      );
      const { code, details } = await caller.bytes(TaskService.method.getTask, request);
      assert.equal(code, status.NOT_FOUND);
      assert.match(details, /^there is no task "x{39,63}(?:\u{1F600}")?/u);
    }
  });

  it("T1: every text field on a submit stream is answered, and the stream goes on", async () => {
    const stream = new RawSubmits(scheduler.grpc);
    let requestId = 0n;
    for (const leaf of leaves(SubmitStreamRequestSchema).filter(({ kind }) => kind === "string")) {
      for (const text of TEXTS) {
        requestId += 1n;
        stream.send({ ...leaf.at(lawful(SubmitStreamRequestSchema), text), requestId });
        const outcome = await stream.answer(requestId);
        const code = outcome.case === "refused" ? outcome.value.code : status.OK;
        assert.ok(RIGHT.has(code), `${leaf.path}: ${status[code]}`);
      }
    }
    stream.end();
    assert.equal((await stream.ended).code, status.OK);
  });

  it("T2: a refused Hello and every odd message of a worker is answered at once", async () => {
    const withId = new RawWorker(scheduler.grpc, { workerId: `${"x".repeat(139)}${EMOJI}` });
    withId.hello();
    const end = await soon(withId.ended, "the refusal of a Hello");
    assert.equal(end.code, status.INVALID_ARGUMENT);
    assert.match(end.details, /^hello\.worker_id "x{139}"\.\.\. must start with/);
    for (const leaf of leaves(WorkerMessageSchema).filter(({ kind }) => kind === "string")) {
      const hello = leaf.path.startsWith("hello.");
      // What may end the stream needs one for each text.
      const runs = hello || leaf.path.includes("attempt_id") ? TEXTS.map((text) => [text]) : [TEXTS];
      const ends = await Promise.all(
        runs.map(async (texts) => {
          const worker = new RawWorker(scheduler.grpc);
          if (!hello) {
            worker.hello();
            await soon(worker.next("welcome"), `${leaf.path}: a Welcome`);
          }
          const base = hello ? lawfulHello(worker) : {};
          for (const text of texts)
            worker.sendBytes(toBinary(WorkerMessageSchema, create(WorkerMessageSchema, leaf.at(base, text))));
          const beaten = worker.beat();
          const acknowledged = worker.next("heartbeatAck", ({ sequence }) => sequence === beaten);
          const first = await soon(
            Promise.race([worker.ended, acknowledged.catch(() => worker.ended)]),
            `${leaf.path}: an answer`,
          );
          worker.cut();
          return "code" in first ? first.code : status.OK;
        }),
      );
      for (const code of ends) assert.ok(RIGHT.has(code), `${leaf.path}: ${status[code]}`);
    }
  });

  it("T2: refused WatchTask and WatchEvents are answered at once", async () => {
    const taskId = `${"x".repeat(63)}${EMOJI}`;
    for (const method of [TaskService.method.watchTask, FleetService.method.watchEvents]) {
      const request = toBinary(method.input, create(method.input, { taskId }));
      assert.equal(await soon(caller.stream(method, request, 1), method.name), status.NOT_FOUND);
    }
  });

  it("T14: 60 invalid tasks are refused with the first violations and a count, within 4 KiB of headers", async () => {
    const { submitTasks } = TaskService.method;
    for (const filler of ["!", "é", EMOJI]) {
      const tasks = Array.from({ length: 60 }, () => ({ taskType: filler.repeat(130 / filler.length) }));
      const request = toBinary(submitTasks.input, create(submitTasks.input, { tasks }));
      const { code, details, trailer } = await trailers(scheduler.grpc, submitTasks, request);
      assert.equal(code, status.INVALID_ARGUMENT);
      assert.match(details, /^tasks\[0\].task_type .* \(and 59 more\)$/);
      assert.ok(encodeURI(details).length + trailer.toString("base64").length <= 4_096);
      const bad = fromBinary(StatusSchema, trailer).details.find(({ typeUrl }) =>
        typeUrl.endsWith(BadRequestSchema.typeName),
      );
      const listed = fromBinary(BadRequestSchema, bad?.value ?? new Uint8Array()).fieldViolations;
      assert.equal(listed[0]?.field, "tasks[0].task_type");
      assert.ok(listed.length >= 3, `${listed.length} are listed`);
      assert.equal(listed.at(-1)?.description, `and ${60 - (listed.length - 1)} more faults, not listed`);
    }
  });

  /** Everything a worker must say, as the oneof of its message. */
  function lawfulHello(worker: RawWorker): object {
    const { protocolVersion, slotCount, taskTypes } = {
      protocolVersion: 1,
      slotCount: 1,
      taskTypes: [{ taskType: "echo" }],
    };
    const { workerId, sessionId } = worker;
    return { hello: { protocolVersion, slotCount, taskTypes, workerId, sessionId, ready: true } };
  }

  function byHttp(method: DescMethod, request: Record<string, unknown>): Promise<Response> {
    return fetch(`${scheduler.http}/${method.parent.typeName}/${method.name}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(toJson(method.input, create(method.input, request))),
      signal: AbortSignal.timeout(WITHIN_MS),
    });
  }
});

async function soon<T>(promise: Promise<T>, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what} did not come within ${WITHIN_MS} ms`)), WITHIN_MS);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** A call with what stood in its trailers. */
function trailers(
  address: string,
  method: DescMethod,
  request: Uint8Array,
): Promise<{ code: status; details: string; trailer: Buffer }> {
  const client = new Client(address, credentials.createInsecure(), { "grpc.use_local_subchannel_pool": 1 });
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      grpcMethodDefinition(method).path,
      (bytes: Buffer) => bytes,
      (bytes: Buffer) => bytes,
      Buffer.from(request),
      new Metadata(),
      (error) => {
        client.close();
        const [trailer] = error?.metadata.get(STATUS_DETAILS_TRAILER) ?? [];
        resolve({
          code: error?.code ?? status.OK,
          details: error?.details ?? "",
          trailer: Buffer.isBuffer(trailer) ? trailer : Buffer.alloc(0),
        });
      },
    );
  });
}
