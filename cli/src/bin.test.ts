import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import type { AddressInfo } from "node:net";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { durationMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { status } from "@grpc/grpc-js";
import type { GetTaskRequest, SubmitTasksRequest } from "@muster/protocol";
import {
  FailureClass,
  TaskState,
  UniqueConflictOutcome,
  UniqueConflictPolicy,
  UniqueWhile,
  WorkerState,
} from "@muster/protocol";
import { Refusal, startFakeScheduler } from "./testing/fake-scheduler.ts";
import { runMuster } from "./testing/muster-process.ts";

const NOON = Date.UTC(2026, 0, 2, 12);

/** A moment `ms` after noon. */
const noon = (ms = 0) => timestampFromMs(NOON + ms);

test("0: a list is tab-separated when piped, with times for programs", async () => {
  const states: TaskState[][] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      listTasks: (request) => {
        states.push(request.states);
        const task = { id: "t-2", state: TaskState.FAILED, detail: "INK", taskType: "print", queue: "q" };
        return { tasks: [{ ...task, attemptCount: 3, createTime: noon(), workerId: "w1" }] };
      },
    },
  });
  const ended = await runMuster(["tasks", "--state", "failed,cancelled"], {
    env: { MUSTER_SCHEDULER_ADDR: scheduler.address, FORCE_COLOR: "1" },
  });
  assert.deepEqual(
    { exitCode: ended.exitCode, stdout: ended.stdout.toString(), stderr: ended.stderr },
    { exitCode: 0, stdout: "t-2\tfailed\tINK\tprint\tq\t3\t2026-01-02T12:00:00.000Z\tw1\n", stderr: "" },
  );
  assert.deepEqual(states, [[TaskState.FAILED, TaskState.CANCELLED]]);
});

test("0: --json is one document of protobuf JSON, with empty lists and zero counts in it", async () => {
  await using scheduler = await startFakeScheduler({
    fleet: {
      listQueues: () => ({ queues: [{ name: "default", readyCount: 7n }] }),
      listWorkers: ({ states }) => {
        assert.ok(!states.includes(WorkerState.GONE) && states.includes(WorkerState.LOST));
        return {};
      },
    },
  });
  const env = { MUSTER_SCHEDULER_ADDR: scheduler.address };
  const queues = await runMuster(["queues", "--json"], { env });
  assert.equal(queues.exitCode, 0, queues.stderr);
  assert.deepEqual(JSON.parse(queues.stdout.toString()), {
    queues: [
      {
        name: "default",
        paused: false,
        pauseReason: "",
        readyCount: "7",
        scheduledCount: "0",
        activeCount: "0",
        recentCompletedCount: "0",
        taskTypes: [],
        taskTypeCount: "0",
        maxWaitingCount: "0",
        limitReason: "",
        rateReason: "",
        weight: 0,
        weightReason: "",
        settingsReason: "",
      },
    ],
    nextPageToken: "",
  });
  const workers = await runMuster(["workers", "--json"], { env });
  assert.deepEqual(JSON.parse(workers.stdout.toString()), { workers: [], nextPageToken: "" });
});

test("0: a submit sends what was asked for and prints the id", async () => {
  const requests: SubmitTasksRequest[] = [];
  const tokens: string[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: (request, { authorization }) => {
        requests.push(request);
        tokens.push(authorization);
        return { tasks: [{ taskId: "t-9", duplicate: true }] };
      },
    },
  });
  const ended = await runMuster(
    [
      ...["submit", "video.cut", "-", "--queue", "q", "--priority", "-5", "--delay", "1m30s"],
      ...["--unique-key", "k", "--header", "a=1", "--header", "b=2=3", "--label", "gpu=a100"],
      ...["--resource", "model:x", "--resource", "model:y", "--max-retries", "0"],
      ...[
        "--run-timeout",
        "2h",
        "--no-retry-timeouts",
        "--oom-label",
        "gpu=h100",
        "--oom-cost",
        "gpu_mb=+4000,max=24000",
        "--queue-timeout",
        "500ms",
        "--token",
        "secret",
      ],
      ...["--scheduler", scheduler.address],
    ],
    { stdin: '{"cut": [1, 2]}\n', env: { MUSTER_TOKEN: "other" } },
  );
  assert.equal(ended.exitCode, 0, ended.stderr);
  assert.equal(ended.stdout.toString(), "t-9\n");
  assert.equal(ended.stderr, "note: the unique key is taken: t-9 was submitted earlier\n");
  assert.deepEqual(tokens, ["Bearer secret"]);
  const spec = requests[0]?.tasks[0];
  assert.ok(spec?.schedule.case === "delay");
  assert.equal(durationMs(spec.schedule.value), 90_000);
  assert.equal(Buffer.from(spec.payload).toString(), '{"cut": [1, 2]}\n');
  assert.deepEqual(
    [spec.taskType, spec.queue, spec.priority, spec.uniqueKey, spec.contentType, spec.headers],
    ["video.cut", "q", -5, "k", "application/json", { a: "1", b: "2=3" }],
  );
  assert.deepEqual(spec.requirements?.labels, { gpu: "a100" });
  assert.deepEqual(spec.requirements?.resources, ["model:x", "model:y"]);
  assert.equal(spec.retryPolicy?.maxRetryCount, 0);
  assert.equal(spec.retryPolicy?.retryTimeouts, false);
  const { labels, cost } = spec.retryPolicy?.onOutOfMemory ?? {};
  assert.deepEqual(labels, { gpu: "h100" });
  assert.deepEqual([cost?.gpu_mb?.growth.value, cost?.gpu_mb?.maxAmount], [4_000n, 24_000n]);
  assert.equal(spec.timeouts?.run && durationMs(spec.timeouts.run), 7_200_000);
  assert.equal(spec.timeouts?.queueWait && durationMs(spec.timeouts.queueWait), 500);
});

test("0: the rule of a unique key is sent, and what became of the submit is printed in words", async () => {
  const requests: SubmitTasksRequest[] = [];
  const conflicts = [
    { outcome: UniqueConflictOutcome.REPLACED, holderState: TaskState.QUEUED },
    { outcome: UniqueConflictOutcome.RETURNED, holderState: TaskState.RUNNING },
  ];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: (request) => {
        const conflict = conflicts[requests.push(request) - 1];
        return {
          tasks: [
            {
              taskId: "t-9",
              duplicate: conflict?.outcome === UniqueConflictOutcome.RETURNED,
              ...(conflict ? { conflict } : {}),
            },
          ],
        };
      },
    },
  });
  const submit = (...args: string[]) =>
    runMuster(["submit", "t", "--unique-key", "k", ...args, "--scheduler", scheduler.address]);
  const rule = ["--unique-while", "open", "--unique-window", "1h", "--on-conflict", "replace"];
  const replaced = await submit(...rule);
  assert.deepEqual(
    [replaced.exitCode, replaced.stdout.toString(), replaced.stderr],
    [
      ...[0, "t-9\n"],
      "note: the unique key is held: t-9 waited, and has the payload and options of this submit now\n",
    ],
  );
  const { heldWhile, window, onConflict } = requests[0]?.tasks[0]?.uniqueRule ?? {};
  assert.deepEqual(
    [heldWhile, window && durationMs(window), onConflict],
    [UniqueWhile.OPEN, 3_600_000, UniqueConflictPolicy.REPLACE],
  );
  const returned = await submit();
  assert.equal(
    returned.stderr,
    "note: the unique key is taken: t-9, which is running, was submitted earlier\n",
  );
  assert.equal(requests[1]?.tasks[0]?.uniqueRule, undefined);
  const wrong = await submit("--unique-while", "sometimes");
  assert.equal(wrong.exitCode, 2);
  assert.match(wrong.stderr, /"sometimes" is none of: queued, active, open, open_or_succeeded, recorded/);
});

test("a task is shown by its unique key, and by one of key and id alone", async () => {
  const requests: GetTaskRequest[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      getTask: (request) => {
        requests.push(request);
        return {
          task: {
            ...{ id: "t-9", state: TaskState.QUEUED, uniqueKey: "k" },
            uniqueRule: { heldWhile: UniqueWhile.QUEUED, window: { seconds: 60n, nanos: 0 } },
          },
        };
      },
    },
  });
  const task = (...args: string[]) => runMuster(["task", ...args, "--scheduler", scheduler.address]);
  const shown = await task("--unique-key", "k", "--queue", "q");
  assert.equal(shown.exitCode, 0, shown.stderr);
  assert.deepEqual(
    [requests[0]?.taskId, requests[0]?.uniqueKey?.queue, requests[0]?.uniqueKey?.key],
    ["", "q", "k"],
  );
  assert.match(shown.stdout.toString(), /^key held while\tqueued, and for 1 min after its submit$/m);
  for (const args of [[], ["t-9", "--unique-key", "k"], ["t-9", "--queue", "q"]])
    assert.equal((await task(...args)).exitCode, 2);
});

test("0: what is not asked for is not set", async () => {
  const requests: SubmitTasksRequest[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: (request) => {
        requests.push(request);
        return { tasks: [{ taskId: "t-9" }] };
      },
    },
  });
  const ended = await runMuster(["submit", "echo", "--json", "--scheduler", scheduler.address]);
  assert.deepEqual(JSON.parse(ended.stdout.toString()), {
    taskId: "t-9",
    duplicate: false,
    waitsForTasks: false,
    warnings: [],
  });
  const spec = requests[0]?.tasks[0];
  assert.equal(spec?.schedule.case, undefined);
  assert.equal(spec?.retryPolicy, undefined);
  assert.equal(spec?.timeouts?.run, undefined);
  assert.equal(spec?.payload.byteLength, 0);
});

test("0: a wait shows progress on stderr and puts the result, byte by byte, on stdout", async () => {
  const folder = await mkdtemp(join(tmpdir(), "muster-bin-"));
  const page = join(folder, "page.png");
  const pixels = Buffer.from([0x89, 0x50, 0x00, 0xff]);
  await writeFile(page, pixels);
  const contentTypes: string[] = [];
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: ({ tasks }) => {
        contentTypes.push(...tasks.map(({ contentType }) => contentType));
        return { tasks: [{ taskId: "t-9" }] };
      },
      async *watchTask() {
        yield { task: { id: "t-9", state: TaskState.QUEUED, detail: "ready" } };
        const running = { id: "t-9", state: TaskState.RUNNING, phase: "inference", workerId: "w1" };
        yield { task: { ...running, progress: { fraction: 0.4, message: "line 2" } } };
        const output = { output: pixels, outputContentType: "image/png" };
        const warnings = [{ step: "upload_thumbnail", code: "NO_SPACE", message: "disk is full" }];
        const ended = { state: TaskState.SUCCEEDED, detail: "succeeded_with_warnings" };
        yield { task: { id: "t-9", ...ended, warnings, ...output } };
      },
    },
  });
  const ended = await runMuster(["submit", "ocr.page", `@${page}`, "--wait"], {
    env: { MUSTER_SCHEDULER_ADDR: scheduler.address },
  });
  await rm(folder, { recursive: true });
  assert.equal(ended.exitCode, 0, ended.stderr);
  assert.deepEqual(ended.stdout, pixels);
  assert.equal(
    ended.stderr,
    [
      "t-9 queued ready",
      "t-9 running inference 40% line 2 on w1",
      "t-9 succeeded succeeded_with_warnings",
      "warning: upload_thumbnail: NO_SPACE disk is full",
      "",
    ].join("\n"),
  );
  assert.deepEqual(contentTypes, ["image/png"]);
});

test("1: an awaited task that failed or was cancelled", async () => {
  const failure = { failureClass: FailureClass.NON_RETRYABLE, code: "BAD_PAGE", message: "no text on it" };
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: ({ tasks }) => ({ tasks: [{ taskId: tasks[0]?.taskType ?? "" }] }),
      async *watchTask({ taskId }) {
        const ended =
          taskId === "fails"
            ? { state: TaskState.FAILED, detail: "BAD_PAGE", failure }
            : { state: TaskState.CANCELLED, detail: "cancelled", cancelReason: "wrong page" };
        yield { task: { id: taskId, ...ended } };
      },
    },
  });
  const env = { MUSTER_SCHEDULER_ADDR: scheduler.address };
  const failed = await runMuster(["submit", "fails", "--wait"], { env });
  assert.equal(failed.exitCode, 1);
  assert.equal(failed.stdout.toString(), "");
  assert.match(failed.stderr, /^error: task fails failed: BAD_PAGE \(non_retryable\) no text on it$/m);
  assert.match(failed.stderr, /`muster retry fails` runs it again/);
  const cancelled = await runMuster(["submit", "stops", "--wait", "--json"], { env });
  assert.equal(cancelled.exitCode, 1);
  assert.equal(JSON.parse(cancelled.stdout.toString()).state, "TASK_STATE_CANCELLED");
  const { error } = JSON.parse(cancelled.stderr);
  assert.deepEqual([error.exitCode, error.reason], [1, "TASK_CANCELLED"]);
  assert.equal(error.message, "task stops was cancelled: wrong page");
});

test("2: wrong usage, with what was meant", async () => {
  const command = await runMuster(["taskz"]);
  assert.equal(command.exitCode, 2);
  assert.match(command.stderr, /^error: unknown command 'taskz'\n\(Did you mean .*tasks/);
  const option = await runMuster(["tasks", "--quue", "x", "--json"]);
  assert.equal(option.exitCode, 2);
  assert.equal(option.stdout.toString(), "");
  const { error } = JSON.parse(option.stderr);
  assert.equal(error.reason, "USAGE");
  assert.match(error.message, /unknown option '--quue'\n\(Did you mean --queue\?\)/);
  const payload = await runMuster(["submit", "echo", "{bad"]);
  assert.equal(payload.exitCode, 2);
  assert.match(payload.stderr, /^error: the payload is not valid JSON/);
  const address = await runMuster(["tasks"], { env: { MUSTER_SCHEDULER_ADDR: "http://x:1" } });
  assert.equal(address.exitCode, 2);
  assert.match(address.stderr, /MUSTER_SCHEDULER_ADDR: "http:\/\/x:1" is not host:port/);
});

test("3: not found", async () => {
  const notFound = (reason: string) => () => {
    throw new Refusal(status.NOT_FOUND, reason, "there is no such thing");
  };
  await using scheduler = await startFakeScheduler({
    tasks: { getTask: notFound("TASK_NOT_FOUND"), explainTask: notFound("TASK_NOT_FOUND") },
    fleet: { explainWorker: notFound("WORKER_NOT_FOUND"), explainQueue: notFound("QUEUE_NOT_FOUND") },
  });
  const env = { MUSTER_SCHEDULER_ADDR: scheduler.address };
  const task = await runMuster(["task", "t-1", "--json"], { env });
  assert.equal(task.exitCode, 3);
  assert.deepEqual(JSON.parse(task.stderr).error, {
    exitCode: 3,
    code: "NOT_FOUND",
    reason: "TASK_NOT_FOUND",
    message: "there is no such thing (TASK_NOT_FOUND)",
    remedy: "`muster tasks` lists those that are kept",
    violations: [],
  });
  const why = await runMuster(["why", "unknown"], { env });
  assert.equal(why.exitCode, 3);
  assert.match(why.stderr, /^error: no task, worker, queue, schedule or pool has the id "unknown"$/m);
});

const TASK_ENDED = `error: t-1 has ended (TASK_ALREADY_ENDED)
  \`muster task ID\` shows how; \`muster retry ID\` runs it again
`;

test("4: refused, with the fields that are wrong", async () => {
  await using scheduler = await startFakeScheduler({
    tasks: {
      submitTasks: () => {
        throw new Refusal(status.INVALID_ARGUMENT, "INVALID_TASK", "1 task is not valid", [
          { field: "tasks[0].task_type", description: "is empty; give a name" },
        ]);
      },
      cancelTask: () => {
        throw new Refusal(status.FAILED_PRECONDITION, "TASK_ALREADY_ENDED", "t-1 has ended");
      },
      retryTask: () => {
        throw new Refusal(status.UNAUTHENTICATED, "INVALID_TOKEN", "the token is not known");
      },
    },
  });
  const env = { MUSTER_SCHEDULER_ADDR: scheduler.address };
  const submit = await runMuster(["submit", ""], { env });
  assert.equal(submit.exitCode, 4);
  assert.equal(
    submit.stderr,
    "error: 1 task is not valid (INVALID_TASK)\n  tasks[0].task_type: is empty; give a name\n",
  );
  const cancel = await runMuster(["cancel", "t-1"], { env });
  assert.deepEqual([cancel.exitCode, cancel.stderr], [4, TASK_ENDED]);
  const retry = await runMuster(["retry", "t-1"], { env });
  assert.equal(retry.exitCode, 4);
  assert.match(retry.stderr, /give the scheduler's token with MUSTER_TOKEN or --token/);
  const unimplemented = await runMuster(["drain", "w1"], { env });
  assert.equal(unimplemented.exitCode, 4);
  assert.match(unimplemented.stderr, /UNIMPLEMENTED/);
});

test("5: nothing listens, nothing answers, or the database is away", async (t) => {
  // Accepts, reads, and says nothing.
  const server = createServer((socket) => socket.resume()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  t.after(() => server.close());
  const silent = await runMuster(["queues", "--timeout", "300ms", "--scheduler", address]);
  assert.equal(silent.exitCode, 5);
  assert.match(
    silent.stderr,
    new RegExp(`^error: the scheduler at ${address} did not answer within 0\\.3 s`),
  );
  server.close();
  await once(server, "close");
  const closed = await runMuster(["queues", "--scheduler", address]);
  assert.equal(closed.exitCode, 5);
  assert.match(closed.stderr, new RegExp(`^error: no scheduler answers at ${address}: .*ECONNREFUSED`));
  assert.match(closed.stderr, /start one with `muster dev`, or give its address with --scheduler/);
  await using scheduler = await startFakeScheduler({
    fleet: {
      listQueues: () => {
        throw new Refusal(status.UNAVAILABLE, "DATABASE_UNAVAILABLE", "the database does not answer");
      },
    },
  });
  const database = await runMuster(["queues", "--scheduler", scheduler.address]);
  assert.equal(database.exitCode, 5);
  assert.match(database.stderr, /^error: the database does not answer \(DATABASE_UNAVAILABLE\)$/m);
});

test("help is on stdout and ends with the exit codes", async () => {
  const { exitCode, stdout, stderr } = await runMuster(["--help"]);
  assert.deepEqual([exitCode, stderr], [0, ""]);
  assert.match(
    stdout.toString(),
    /Exit codes:\n {2}0 {2}done\n(.*\n)* {2}6 {2}--wait-timeout ended the wait\n$/,
  );
});
