import assert from "node:assert/strict";
import { mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { runMuster, startMuster } from "./testing/muster-process.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

const WORKER = `
import { once } from "node:events";
import { fork } from "node:child_process";
import { NonRetryableError, Worker } from "@muster/worker";

const worker = new Worker({
  lifespan: ({ defer }) => {
    defer(() => console.log("torn down"));
    return { greeting: "Hello" };
  },
  tasks: {
    greet: async (ctx) => {
      ctx.progress(0.5, "half way");
      ctx.output("a piece\\n");
      console.log("from the file");
      return { text: ctx.services.greeting + ", " + ctx.payload.name + "!", attempt: ctx.attempt.number };
    },
    bytes: (ctx) => ctx.rawPayload,
    fail: () => {
      throw new NonRetryableError("no ink", { code: "INK" });
    },
    wait: async (ctx) => {
      ctx.progress({ done: 1, total: 3 });
      await once(ctx.signal, "abort");
      console.log("reason: " + ctx.signal.reason.message);
      ctx.signal.throwIfAborted();
    },
    ignore: (ctx) => {
      ctx.progress(0.1);
      return new Promise(() => setInterval(() => {}, 1000));
    },
    crash: () => {
      setTimeout(() => {
        throw new Error("from a timer");
      });
      return new Promise(() => {});
    },
    fork: async () => {
      const child = fork(new URL("./forked.mjs", import.meta.url));
      const [said] = await once(child, "message");
      return said;
    },
  },
});
await worker.run();
console.log("after run()");
`;

const EXPORTED = `
import { Worker } from "@muster/worker";
const other = new Worker({ tasks: { other: () => 1 } });
export const worker = new Worker({ tasks: { add: (ctx: { payload: { a: number } }) => ctx.payload.a + 1 } });
export default { other };
`;

let folder: string;
const options = { env: { NODE_OPTIONS: "--conditions=muster-source", NO_COLOR: "1" } };

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "muster-invoke-"));
  await symlink(join(ROOT, "node_modules"), join(folder, "node_modules"));
  await writeFile(join(folder, "worker.mjs"), WORKER);
  await writeFile(join(folder, "exported.ts"), EXPORTED);
  await writeFile(join(folder, "none.mjs"), "export const worker = 1;");
  await writeFile(join(folder, "forked.mjs"), "process.send(process.execArgv.length);");
});

after(() => rm(folder, { recursive: true, force: true }));

const invoke = (file: string, ...args: string[]) =>
  runMuster(["invoke", join(folder, file), ...args], options);

test("0: the result is on stdout, everything else on stderr; the worker is set up and torn down", async () => {
  const [done, bytes, json, exported, fromDefault, forked] = await Promise.all([
    invoke("worker.mjs", "greet", '{"name": "Ada"}', "--attempt", "2"),
    invoke("worker.mjs", "bytes", `@${join(folder, "none.mjs")}`),
    invoke("worker.mjs", "greet", '{"name": "Ada"}', "--json"),
    invoke("exported.ts", "add", '{"a": 2}'),
    invoke("exported.ts", "other"),
    invoke("worker.mjs", "fork"),
  ]);
  assert.equal(done.stdout.toString(), '{"text":"Hello, Ada!","attempt":2}\n');
  assert.equal(done.exitCode, 0, done.stderr);
  for (const text of [
    "50 % half way",
    "a piece",
    "from the file",
    "torn down",
    "after run()",
    "task.completed",
  ])
    assert.ok(done.stderr.includes(text), `${text}: ${done.stderr}`);
  assert.equal(bytes.stdout.toString(), "export const worker = 1;", bytes.stderr);
  const outcome = JSON.parse(json.stdout.toString());
  assert.deepEqual([outcome.state, outcome.output.text], ["succeeded", "Hello, Ada!"]);
  assert.equal(exported.stdout.toString(), "3\n", exported.stderr);
  assert.equal(fromDefault.stdout.toString(), "1\n", fromDefault.stderr);
  // Its own processes get the options of Node without those of the command.
  assert.equal(forked.stdout.toString(), "0\n", forked.stderr);
});

test("1 to 3: what failed, what is missing and what is not valid is said in a sentence", async () => {
  const [failed, crashed, timedOut, unknown, none, missing, broken] = await Promise.all([
    invoke("worker.mjs", "fail"),
    invoke("worker.mjs", "crash"),
    invoke("worker.mjs", "wait", "--timeout", "10ms"),
    invoke("worker.mjs", "gret"),
    invoke("none.mjs", "greet"),
    invoke("nowhere.mjs", "greet"),
    invoke("worker.mjs", "greet", "{name"),
  ]);
  assert.match(failed.stderr, /^error: fail failed: INK no ink$/m);
  assert.match(crashed.stderr, /^error: the file ended with exit code 1 before the task had ended$/m);
  assert.match(crashed.stderr, /Error: from a timer/);
  assert.match(timedOut.stderr, /^error: wait failed: TIMED_OUT The run took longer than 0\.01 s\.$/m);
  assert.match(
    unknown.stderr,
    /^error: no worker of .*worker\.mjs has the task type "gret"\n {2}did you mean greet\?$/m,
  );
  assert.match(none.stderr, /^error: .*none\.mjs neither starts nor exports a worker$/m);
  assert.match(missing.stderr, /^error: there is no file .*nowhere\.mjs$/m);
  assert.match(broken.stderr, /^error: the payload is not valid JSON/m);
  assert.deepEqual(
    [failed, crashed, timedOut, unknown, none, missing, broken].map(({ exitCode }) => exitCode),
    [1, 1, 1, 3, 3, 2, 2],
  );
});

test("130: Ctrl-C cancels the task and waits for its handler; a second one kills the process", async () => {
  const args = (type: string) => ["invoke", join(folder, "worker.mjs"), type];
  await using waiting = startMuster(args("wait"), options);
  await using ignoring = startMuster(args("ignore"), options);
  await waiting.sawStderr("1 of 3");
  waiting.kill("SIGINT");
  const cancelled = await waiting.ended;
  assert.match(cancelled.stderr, /^reason: The task was cancelled: cancelled in the terminal$/m);
  assert.match(cancelled.stderr, /^error: the task was cancelled by Ctrl-C$/m);
  assert.match(cancelled.stderr, /torn down/);
  await ignoring.sawStderr("10 %");
  ignoring.kill("SIGINT");
  await ignoring.sawStderr("a second Ctrl-C kills the process");
  ignoring.kill("SIGINT");
  const killed = await ignoring.ended;
  assert.deepEqual([cancelled.exitCode, killed.exitCode], [130, 130]);
});
