import assert from "node:assert/strict";
import { tmpdir } from "node:os";
import { test } from "node:test";
import { Client } from "../client/index.ts";
import { command } from "../command/index.ts";
import { defineTask, OptionsError, type TaskContext, Worker } from "../index.ts";
import { S3Store } from "../s3/index.ts";
import { compression, encryption, FolderStore } from "../storage/index.ts";
import { runTask, testKit } from "../test-kit/index.ts";
import { startOtel } from "../tracing/otel.ts";

const tasks = { t: () => 1 };
const client = new Client({ scheduler: "127.0.0.1:1" });
const task = defineTask({ type: "b" });

/** A call with options that do not exist, and what its error says of them. */
const CALLS: readonly (readonly [name: string, call: () => unknown, faults: readonly string[]])[] = [
  [
    "Worker",
    () => new Worker({ tasks, concurency: 3 } as never),
    ["concurency: is not known; is concurrency meant?"],
  ],
  [
    "Worker.scratch",
    () => new Worker({ tasks, scratch: { path: "/x" } } as never),
    ["scratch.path: is not known; known are dir, keepS, quotaBytes, keepOnSuccess"],
  ],
  [
    "Worker.taskLogs",
    () => new Worker({ tasks, taskLogs: { redact: [] } } as never),
    ["taskLogs.redact: is not known; known are level, redactKeys, redactPatterns"],
  ],
  [
    "Worker.backpressure",
    () => new Worker({ tasks, backpressure: { mem: [0.9, 0.8] } } as never),
    [
      "backpressure.mem: is not known; known are cpu, memory, loopDelayMs, probe, probeIntervalS, probeTimeoutS",
    ],
  ],
  [
    "Worker.payloads",
    () => new Worker({ tasks, payloads: { codec: [], claimCheck: {} } } as never),
    ["payloads.codec: is not known; is codecs meant?"],
  ],
  [
    "Worker.tls",
    () => new Worker({ tasks, tls: { cas: "x" } } as never),
    ["tls.cas: is not known; is ca meant?"],
  ],
  [
    "Worker.tasks",
    () => new Worker({ tasks: { t: { handler: () => 1, concurrent: 2 } } } as never),
    ['tasks["t"].concurrent: is not known'],
  ],
  [
    "handle",
    () => new Worker({}).handle(task, () => 1, { slots: 2 } as never),
    ["task b: option slots: is not known; known are concurrency"],
  ],
  [
    "handleBatch",
    () => new Worker({}).handleBatch(task, () => [], { batch: { size: 1, wait: 5 } } as never),
    ["task b: option batch.wait: is not known; is waitMs meant?"],
  ],
  [
    "defineTask",
    () => defineTask({ type: "t", retrie: { maxRetries: 3 } } as never),
    ["retrie: is not known; is retry meant?"],
  ],
  [
    "defineTask, a function",
    () => defineTask({ type: "t", uniqe: () => ({ key: "k" }) } as never),
    ["uniqe: is not known; is unique meant?"],
  ],
  ["phases", () => defineTask({ type: "t", phases: { load: { warnS: 3 } } } as never), ["phases.load.warnS"]],
  [
    "submit",
    () => client.submit("t", {}, { prioritty: 3 } as never),
    ["prioritty: is not known; is priority meant?"],
  ],
  [
    "submit, inside",
    () => client.submit("t", {}, { retry: { retries: 3 }, timeouts: { run: 5 } } as never),
    ["retry.retries: is not known", "timeouts.run: is not known; is runS meant?"],
  ],
  [
    "submit, a definition",
    () => client.submit(task, {}, { priotity: 3 } as never),
    ["priotity: is not known; is priority meant?"],
  ],
  [
    "submitMany",
    () => client.submitMany([{ type: "t", payloda: 1 } as never]),
    ["payloda: is not known; is payload meant?"],
  ],
  ["Client", () => new Client({ timeout: 5 } as never), ["timeout: is not known; is timeoutS meant?"]],
  [
    "command",
    () => command(["ls"], { killGrace: 3, exitCodes: { ok: [0] } } as never),
    [
      "killGrace: is not known; is killGraceS meant?",
      "exitCodes.ok: is not known; known are success, retry, permanent",
    ],
  ],
  ["compression", () => compression({ codec: "zstd" } as never), ["codec: is not known"]],
  [
    "encryption",
    () => encryption({ keys: { a: "x" }, current: "a", key: 1 } as never),
    ["key: is not known; is keys meant?"],
  ],
  [
    "S3Store",
    () => new S3Store({ bucket: "b-1", part: 1 } as never),
    ["part: is not known; known are bucket, prefix"],
  ],
  [
    "runTask",
    () => runTask(new Worker({ tasks }), "t", 1, { attemt: 2 } as never),
    ["attemt: is not known; is attempt meant?"],
  ],
  ["startOtel", () => startOtel({ service: "x" } as never), ["service: is not known"]],
  [
    "FolderStore",
    () => new FolderStore({ dir: "/x", dri: 1 } as never),
    ["dri: is not known; is dir meant?"],
  ],
  [
    "result",
    () => client.handle("t-1").result({ timeout: 5 } as never),
    ["timeout: is not known; is timeoutS meant?"],
  ],
  [
    "watch",
    () =>
      client
        .handle("t-1")
        .watch({ signals: 1 } as never)
        .next(),
    ["signals: is not known; is signal meant?"],
  ],
  [
    "logs",
    () =>
      client
        .handle("t-1")
        .logs({ folow: true } as never)
        .next(),
    ["folow: is not known; is follow meant?"],
  ],
  ["batch", () => client.batch({ titel: "b" } as never), ["titel: is not known; is title meant?"]],
  [
    "changeTasks",
    () => client.changeTasks("cancel", { queues: ["q"] }, { dryrun: true } as never).next(),
    ["dryrun: is not known; is dryRun meant?"],
  ],
  ["metrics", () => client.metrics({ since: 5 } as never), ["since: is not known; is sinceS meant?"]],
  ["failures", () => client.failures({ worker: "w" } as never), ["worker: is not known; is workerId meant?"]],
  ["testKit", () => testKit({ arg: [] } as never), ["arg: is not known; is args meant?"]],
];

/** What a handler calls with options that do not exist. */
const HANDLERS: readonly (readonly [name: string, handler: (ctx: TaskContext) => unknown, fault: string])[] =
  [
    ["phase", (ctx) => ctx.phase("load", () => 1, { warnAfter: 5 } as never), "is warnAfterS meant?"],
    ["step", (ctx) => ctx.step("load", () => 1, { optonal: true } as never), "is optional meant?"],
    [
      "step, inside",
      (ctx) => ctx.step("load", () => 1, { retry: { delay: 1 } } as never),
      "is delayS meant?",
    ],
    [
      "artifact",
      (ctx) => ctx.artifact("a.txt", () => undefined, { overwrit: true } as never),
      "is overwrite meant?",
    ],
  ];

for (const [name, handler, fault] of HANDLERS)
  test(`ctx.${name}: an option that does not exist fails the call`, async () => {
    let thrown: unknown;
    const t = async (ctx: TaskContext) => {
      thrown = await Promise.resolve(handler(ctx)).catch((error) => error);
    };
    await runTask({ tasks: { t }, artifacts: new FolderStore({ dir: tmpdir() }) }, "t");
    assert.ok(thrown instanceof OptionsError, String(thrown));
    assert.ok(thrown.message.includes(fault), thrown.message);
  });

for (const [name, call, faults] of CALLS)
  test(`${name}: an option that does not exist is a fault`, async () => {
    await assert.rejects(
      async () => call(),
      (error) => {
        assert.ok(error instanceof OptionsError, String(error));
        for (const fault of faults) assert.ok(error.message.includes(fault), error.message);
        return true;
      },
    );
  });

test("an option that is undefined is one that is left out", () => {
  new Worker({ tasks, other: undefined } as never);
});

test("values of the wrong kind are named as they were given", async () => {
  const message = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return error instanceof Error ? error.message : "";
    }
    return "no error";
  };
  const wrong = { tasks, concurrency: "4", queues: "default" } as never;
  assert.match(
    message(() => new Worker(wrong)),
    /option concurrency: "4" is not an integer/,
  );
  assert.match(
    message(() => new Worker(wrong)),
    /option queues: is "default"; give a list, for example \["default"\]/,
  );
  assert.match(
    message(() => new Worker(null as never)),
    /the options: are null; give an object/,
  );
  assert.match(
    message(() => command("ls -l" as never)),
    /is the text "ls -l"; give a list/,
  );
  assert.match(
    message(() => client.handle(undefined as never)),
    /^handle\(\) takes the id of a task/,
  );
  await assert.rejects(
    client.submit("t", { count: 1n }),
    /^TypeError: Task t: the payload has a BigInt, which has no JSON form; give a number or a text\.$/,
  );
});
