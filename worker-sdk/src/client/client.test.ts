import assert from "node:assert/strict";
import { test } from "node:test";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import type { ServerUnaryCall, ServerWritableStream, sendUnaryData } from "@grpc/grpc-js";
import { Metadata, Server, ServerCredentials, status as Status } from "@grpc/grpc-js";
import type {
  SubmitTasksRequest,
  SubmitTasksResponse,
  TaskSpec,
  WatchTaskRequest,
  WatchTaskResponse,
} from "@muster/protocol";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  grpcServiceDefinition,
  STATUS_DETAILS_TRAILER,
  StatusSchema,
  SubmitTasksResponseSchema,
  TaskService,
  TaskState,
  UniqueConflictOutcome,
  UniqueConflictPolicy,
  UniqueWhile,
  WatchTaskResponseSchema,
} from "@muster/protocol";
import { Client, MusterError, OptionsError, TaskCancelledError, TaskFailedError } from "./index.ts";

interface Script {
  submit?: (
    request: SubmitTasksRequest,
  ) => SubmitTasksResponse | { code: Status; metadata: Metadata; details: string };
  /** One entry a WatchTask call: what it says, then its status; no status ends it well. */
  watches?: { updates: MessageInitShape<typeof WatchTaskResponseSchema>[]; end?: Status }[];
}

async function scripted(script: Script) {
  const server = new Server();
  const { submitTasks, watchTask } = grpcServiceDefinition(TaskService);
  assert.ok(submitTasks && watchTask);
  const tokens: string[] = [];
  const watches = [...(script.watches ?? [])];
  server.addService(
    { submitTasks, watchTask },
    {
      submitTasks(
        call: ServerUnaryCall<SubmitTasksRequest, SubmitTasksResponse>,
        done: sendUnaryData<SubmitTasksResponse>,
      ) {
        tokens.push(String(call.metadata.get("authorization")[0]));
        const answer = script.submit?.(call.request) ?? create(SubmitTasksResponseSchema);
        if ("code" in answer) done(answer);
        else done(null, answer);
      },
      watchTask(call: ServerWritableStream<WatchTaskRequest, WatchTaskResponse>) {
        const watch = watches.shift();
        for (const update of watch?.updates ?? []) call.write(create(WatchTaskResponseSchema, update));
        if (watch?.end === undefined) call.end();
        else call.emit("error", { code: watch.end, details: "cut", metadata: new Metadata() });
      },
    },
  );
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error === null ? resolve(bound) : reject(error),
    );
  });
  const client = new Client({ scheduler: `127.0.0.1:${port}`, token: "secret", random: () => 0 });
  return {
    client,
    tokens,
    watches,
    port,
    [Symbol.dispose]() {
      client.close();
      server.forceShutdown();
    },
  };
}

const succeeded = {
  id: "t-1",
  state: TaskState.SUCCEEDED,
  output: Buffer.from('{"text":"hi"}'),
  outputContentType: "application/json",
};

test("submits with every option and waits for the result across a dropped watch", async () => {
  let seen: SubmitTasksRequest | undefined;
  using setup = await scripted({
    submit: (request) => {
      seen = request;
      return create(SubmitTasksResponseSchema, { tasks: [{ taskId: "t-1", duplicate: true }] });
    },
    watches: [
      {
        updates: [
          {
            task: { id: "t-1", state: TaskState.RUNNING },
            outputChunks: [{ attemptId: "t-1.1", sequence: 1n }],
          },
        ],
        end: Status.UNAVAILABLE,
      },
      { updates: [] },
      {
        updates: [
          { task: succeeded, outputChunks: [1n, 2n].map((sequence) => ({ attemptId: "t-1.1", sequence })) },
        ],
      },
    ],
  });
  const { client } = setup;
  const handle = await client.submit<{ text: string }>(
    "ocr.page",
    { page: 1 },
    {
      queue: "q",
      delayS: 1.5,
      uniqueKey: "k",
      retry: { maxRetries: 0, delaysS: [0.25] },
      timeouts: { runS: 60, phasesS: { inference: 2 } },
      requires: { resources: ["model:a"] },
    },
  );
  assert.deepEqual([handle.id, handle.duplicate, setup.tokens], ["t-1", true, ["Bearer secret"]]);
  const [spec] = seen?.tasks ?? [];
  assert.equal(Buffer.from(spec?.payload ?? []).toString(), '{"page":1}');
  assert.equal(spec?.schedule.case === "delay" && spec.schedule.value.nanos, 500_000_000);
  assert.equal(spec?.retryPolicy?.maxRetryCount, 0);
  assert.equal(spec?.timeouts?.phases.inference?.seconds, 2n);
  const chunks: number[] = [];
  for await (const { outputChunks } of handle.watch())
    chunks.push(...outputChunks.map(({ sequence }) => sequence));
  assert.deepEqual(chunks, [1, 2]);
  assert.equal(setup.watches.length, 0);
  setup.watches.push({ updates: [{ task: succeeded }] });
  assert.deepEqual(await handle.result(), { text: "hi" });
});

test("sends the rule of a unique key, and answers what the submit met", async () => {
  const specs: TaskSpec[] = [];
  using setup = await scripted({
    submit: ({ tasks }) => {
      specs.push(...tasks);
      const conflict = { outcome: UniqueConflictOutcome.REPLACED, holderState: TaskState.QUEUED };
      return create(SubmitTasksResponseSchema, { tasks: tasks.map(() => ({ taskId: "t-1", conflict })) });
    },
  });
  const { client } = setup;
  const unique = { key: "k", while: "openOrSucceeded", windowS: 1.5, onConflict: "replace" } as const;
  const handle = await client.submit("t", null, { unique });
  assert.deepEqual(
    [handle.duplicate, handle.conflict],
    [false, { outcome: "replaced", holderState: "queued" }],
  );
  const rule = specs[0]?.uniqueRule;
  assert.deepEqual(
    [specs[0]?.uniqueKey, rule?.heldWhile, rule?.window?.nanos, rule?.onConflict],
    ["k", UniqueWhile.OPEN_OR_SUCCEEDED, 500_000_000, UniqueConflictPolicy.REPLACE],
  );
  await assert.rejects(client.submit("t", null, { unique, uniqueKey: "k" }), /exclude each other/);
  await assert.rejects(client.submit("t", null, { unique: { key: "" } }), /unique\.key is empty/);
  const wrong = { key: "k", while: "sometimes" as "open" };
  await assert.rejects(client.submit("t", null, { unique: wrong }), {
    message:
      'Task t: unique.while is "sometimes"; allowed are queued, active, open, openOrSucceeded, recorded.',
  });
  await assert.rejects(client.submit("t", null, { unique: { key: "k", windowS: Number.NaN } }), OptionsError);
  assert.equal(specs.length, 1);
});

test("numbers that mean nothing are refused with the option's name before anything is sent", async () => {
  using setup = await scripted({ submit: () => assert.fail("it was sent") });
  const { client } = setup;
  const faultsOf = async (call: Promise<unknown>): Promise<readonly string[]> => {
    const error: unknown = await call.then(
      () => assert.fail("it was accepted"),
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof OptionsError, String(error));
    return error.faults;
  };
  const bad = client.submit("ocr.page", null, {
    priority: 1.5,
    delayS: Number.NaN,
    retry: { maxRetries: Number.POSITIVE_INFINITY, delaysS: [1, -2] },
    timeouts: { runS: Number.NaN, phasesS: { inference: 1e300 } },
    watchdogs: { runS: Number.NEGATIVE_INFINITY },
  });
  assert.deepEqual(await faultsOf(bad), [
    "option priority: 1.5 is not an integer from -1000 to 1000",
    "option delayS: NaN is not a number from 0 to 31622400",
    "option retry.maxRetries: Infinity is not an integer from 0 to 1000",
    "option retry.delaysS[1]: -2 is not a number from 0 to 31622400",
    "option timeouts.runS: NaN is not a number from 0 to 31622400",
    "option timeouts.phasesS.inference: 1e+300 is not a number from 0 to 31622400",
    "option watchdogs.runS: -Infinity is not a number from 0 to 31622400",
  ]);
  const noDate = client.submit("ocr.page", null, { runTime: new Date(Number.NaN) });
  assert.deepEqual(await faultsOf(noDate), [
    "option runTime: Invalid Date is not a moment; give a valid Date",
  ]);
  const handle = client.handle("t-1");
  for (const timeoutS of [Number.NaN, -1, Number.POSITIVE_INFINITY]) {
    const expected = [
      `option timeoutS: ${timeoutS} is not a number from 0 to 2147483; leave it out for the default`,
    ];
    assert.deepEqual(await faultsOf(client.submit("ocr.page", null, { timeoutS })), expected);
    assert.deepEqual(await faultsOf(client.get("t-1", { timeoutS })), expected);
    assert.deepEqual(await faultsOf(handle.result({ timeoutS })), expected);
  }
});

test("a task that ends badly is thrown by what it is", async () => {
  const failure = { code: "RETRIES_EXHAUSTED", message: "no luck" };
  using setup = await scripted({
    watches: [
      { updates: [{ task: { id: "t-1", taskType: "x", state: TaskState.FAILED, failure } }] },
      {
        updates: [
          { task: { id: "t-1", taskType: "x", state: TaskState.CANCELLED, cancelReason: "not needed" } },
        ],
      },
      { updates: [{ task: { id: "t-1", state: TaskState.RUNNING } }], end: Status.NOT_FOUND },
    ],
  });
  const handle = setup.client.handle("t-1");
  await assert.rejects(
    handle.result(),
    (error) => error instanceof TaskFailedError && error.code === failure.code,
  );
  await assert.rejects(
    handle.result(),
    (error) => error instanceof TaskCancelledError && /not needed/.test(error.message),
  );
  await assert.rejects(
    handle.result(),
    (error) => error instanceof MusterError && error.code === Code.NotFound,
  );
});

test("a refusal carries reason, code and violations; an address that is down is UNAVAILABLE and the next is tried", async () => {
  const details = [
    anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { domain: "muster", reason: "INVALID_TASK" })),
    anyPack(
      BadRequestSchema,
      create(BadRequestSchema, { fieldViolations: [{ field: "tasks[0].type", description: "is empty" }] }),
    ),
  ];
  const metadata = new Metadata();
  const status = create(StatusSchema, { code: Status.INVALID_ARGUMENT, message: "bad", details });
  metadata.set(STATUS_DETAILS_TRAILER, Buffer.from(toBinary(StatusSchema, status)));
  using setup = await scripted({
    submit: () => ({ code: Status.INVALID_ARGUMENT, metadata, details: "bad" }),
  });
  using down = new Client({ scheduler: ["127.0.0.1:1", "127.0.0.1:2"] });
  await assert.rejects(down.submit("x"), (error) => error instanceof MusterError && error.transient);
  using client = new Client({ scheduler: ["127.0.0.1:1", `127.0.0.1:${setup.port}`] });
  await assert.rejects(client.submit("x"), (error) => {
    assert.ok(error instanceof MusterError);
    assert.deepEqual(
      [error.code, error.reason, error.message, error.violations],
      [Code.InvalidArgument, "INVALID_TASK", "bad", [{ field: "tasks[0].type", description: "is empty" }]],
    );
    return true;
  });
  assert.throws(() => new Client({ scheduler: "nowhere" }), OptionsError);
});
