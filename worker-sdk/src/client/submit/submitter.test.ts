import assert from "node:assert/strict";
import { test } from "node:test";
import { create } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { ServerDuplexStream, ServerUnaryCall, sendUnaryData } from "@grpc/grpc-js";
import { Server, ServerCredentials, status as Status } from "@grpc/grpc-js";
import type {
  SubmitStreamRequest,
  SubmitStreamResponse,
  SubmitTasksRequest,
  SubmitTasksResponse,
} from "@muster/protocol";
import {
  ErrorInfoSchema,
  grpcServiceDefinition,
  SubmitStreamResponseSchema,
  SubmitTasksResponseSchema,
  TaskService,
} from "@muster/protocol";
import { Client, MusterError } from "../index.ts";

type SubmitCall = ServerDuplexStream<SubmitStreamRequest, SubmitStreamResponse>;
type Answer = (request: SubmitStreamRequest, call: SubmitCall) => void;

/** A scheduler that counts how tasks reach it. @param answer Undefined for one that is older than SubmitStream. */
async function scripted(answer: Answer | undefined) {
  const seen = { calls: 0, streams: 0, requests: 0, tokens: new Set<string>() };
  const server = new Server();
  const { submitTasks, submitStream } = grpcServiceDefinition(TaskService);
  assert.ok(submitTasks && submitStream);
  const implementation = {
    submitTasks(
      _call: ServerUnaryCall<SubmitTasksRequest, SubmitTasksResponse>,
      done: sendUnaryData<SubmitTasksResponse>,
    ) {
      seen.calls += 1;
      done(null, create(SubmitTasksResponseSchema, { tasks: [{ taskId: `t-call-${seen.calls}` }] }));
    },
    submitStream(call: SubmitCall) {
      seen.streams += 1;
      seen.tokens.add(String(call.metadata.get("authorization")[0]));
      call.on("data", (request: SubmitStreamRequest) => {
        seen.requests += 1;
        answer?.(request, call);
      });
      call.on("end", () => call.end());
    },
  };
  if (answer === undefined) server.addService({ submitTasks }, { submitTasks: implementation.submitTasks });
  else server.addService({ submitTasks, submitStream }, implementation);
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  return { seen, address: `127.0.0.1:${port}`, [Symbol.dispose]: () => server.forceShutdown() };
}

function accept({ requestId, submit }: SubmitStreamRequest, call: SubmitCall): void {
  const tasks = (submit?.tasks ?? []).map((_, index) => ({ taskId: `t-stream-${requestId}-${index}` }));
  call.write(
    create(SubmitStreamResponseSchema, { requestId, outcome: { case: "accepted", value: { tasks } } }),
  );
}

/** Submits until the stream is used: its library is loaded beside the second submit. */
async function untilStreaming(client: Client, seen: { requests: number }): Promise<void> {
  while (seen.requests === 0) await client.submit("x");
}

test("the first submit is a call, later ones share a stream, and what is too large is a call again", async () => {
  using scheduler = await scripted(accept);
  using client = new Client({ scheduler: scheduler.address, token: "secret" });
  const { seen } = scheduler;
  assert.equal((await client.submit("x")).id, "t-call-1");
  assert.equal(seen.streams, 0);
  await untilStreaming(client, seen);
  const { calls } = seen;
  const [one, two] = await client.submitMany([{ type: "x" }, { type: "y" }]);
  assert.deepEqual(
    [one?.id, two?.id].map((id) => /^t-stream-\d+-\d$/.test(id ?? "")),
    [true, true],
  );
  await Promise.all(Array.from({ length: 100 }, () => client.submit("x")));
  assert.deepEqual([seen.calls, seen.streams, [...seen.tokens]], [calls, 1, ["Bearer secret"]]);
  assert.match((await client.submit("x", "y".repeat(70_000))).id, /^t-call-/);
});

test("a refusal is thrown with its reason, to the submit that it is about", async () => {
  const details = [anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain: "muster", reason: "NO_X" }))];
  using scheduler = await scripted((request, call) => {
    const { requestId, submit } = request;
    if (!submit?.tasks.some(({ taskType }) => taskType === "y")) return accept(request, call);
    const value = { code: Status.FAILED_PRECONDITION, message: "not y", details };
    call.write(create(SubmitStreamResponseSchema, { requestId, outcome: { case: "refused", value } }));
  });
  using client = new Client({ scheduler: scheduler.address });
  await untilStreaming(client, scheduler.seen);
  const accepted = client.submit("x");
  await assert.rejects(
    client.submit("y"),
    (error) =>
      error instanceof MusterError &&
      error.code === Code.FailedPrecondition &&
      error.reason === "NO_X" &&
      error.message === "not y",
  );
  assert.match((await accepted).id, /^t-stream-/);
});

test("a scheduler that is older than the stream is called", async () => {
  using scheduler = await scripted(undefined);
  using client = new Client({ scheduler: scheduler.address });
  for (let submit = 1; submit <= 20; submit++)
    assert.equal((await client.submit("x")).id, `t-call-${submit}`);
});

test("a stream that is cut decides nothing: UNAVAILABLE, and the next address is used", async () => {
  let cut = false;
  using dying = await scripted((request, call) => {
    if (!cut) return accept(request, call);
    call.destroy();
    dying[Symbol.dispose]();
  });
  using other = await scripted(accept);
  using client = new Client({ scheduler: [dying.address, other.address] });
  await untilStreaming(client, dying.seen);
  cut = true;
  await assert.rejects(client.submit("x"), (error) => error instanceof MusterError && error.transient);
  assert.match((await client.submit("x")).id, /^t-stream-1-0$/);
  assert.equal(other.seen.streams, 1);
});

test("closing rejects what waits", async () => {
  const read = Promise.withResolvers<void>();
  let silent = false;
  using scheduler = await scripted((request, call) => {
    if (silent) read.resolve();
    else accept(request, call);
  });
  using client = new Client({ scheduler: scheduler.address });
  await untilStreaming(client, scheduler.seen);
  silent = true;
  const rejected = assert.rejects(
    client.submit("x"),
    (error) => error instanceof MusterError && error.code === Code.Canceled,
  );
  await read.promise;
  client.close();
  await rejected;
});
