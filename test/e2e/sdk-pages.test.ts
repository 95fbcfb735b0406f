import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { mkdir, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { TaskState } from "@muster/protocol";
import {
  Client,
  ENCODED_TYPE,
  InvalidPayloadError,
  readEnvelope,
  TaskFailedError,
} from "@muster/worker/client";
import type { Artifact } from "@muster/worker/storage";
import { defineTask } from "@muster/worker/task";
import { z } from "zod";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, type Served, serve, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";
import { findVersitygw, startVersitygw } from "../support/storage/versitygw.ts";

const versitygw = findVersitygw();

/** What docs/lifespan.md imports: a pool that notes what happens to it, on standard error. */
const POOL = `
export const openPool = async (_: { signal: AbortSignal }) => {
  note("open");
  return {
    setting: async (_name: string) => "Hello",
    begin: (id: string) => ({ write: (name: string) => note("write " + name), end: () => note("end " + id) }),
    end: async () => note("closed"),
  };
};
export const report = (id: string, error: unknown) => note("report " + id + " " + String(error));
function note(text: string) { console.error("noted: " + text); }
`;

/** The worker of docs/producers.md. */
const GREETER = `
import { Worker } from "@muster/worker";
await new Worker({ tasks: { greet: (ctx) => ({ text: "Hello, " + Object(ctx.payload).name + "!" }) } }).run();
`;

/** What docs/steps.md imports: a forge that refuses while the file `BROKEN` exists. */
const SERVICES = `
import { existsSync } from "node:fs";
let runs = 0;
export const agent = { run: async (_payload: unknown, _signal: AbortSignal) => ({ branch: "b-" + ++runs }) };
export const github = {
  openPullRequest: async (branch: string) => {
    if (existsSync(process.env.BROKEN ?? "")) throw new Error("HTTP 502");
    return { url: "https://example/" + branch };
  },
  comment: async (_branch: string, _text: string) => undefined,
};
`;

/** What the handler of docs/scratch.md returns. */
interface Converted {
  readonly folder: string;
  readonly length: number;
}

describe("the examples of the SDK's pages", () => {
  let folder: Folder;
  let served: Served;
  let client: Client;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    served = await serve(folder);
    client = new Client({ scheduler: served.grpc });
  });

  after(async () => {
    client.close();
    await killAll();
    await folder.remove();
  });

  /** Writes the files of a page into a folder of its own; returns how to start them. */
  async function page(name: string, files: readonly string[], extra: Readonly<Record<string, string>> = {}) {
    const text = await readFile(join(ROOT, "docs", `${name}.md`), "utf8");
    const found = [...text.matchAll(/^```ts (\S+)\n([\s\S]*?)^```$/gm)];
    assert.deepEqual(
      found.map(([, file]) => file),
      files,
    );
    const here = join(folder.path, name);
    await mkdir(here);
    for (const [, file = "", source = ""] of found) await writeFile(join(here, file), source);
    for (const [file, source] of Object.entries(extra)) await writeFile(join(here, file), source);
    return (file: string, env: Readonly<Record<string, string>> = {}) =>
      Program.start(file, pathToFileURL(join(here, file)).href, {
        base: import.meta.url,
        env: { MUSTER_SCHEDULER_ADDR: served.grpc, WORKER_ID: name, ...env },
      });
  }

  const ready = (worker: Program) => worker.line("worker.startup.phase", ({ phase }) => phase === "ready");

  it("docs/task-definitions.md: the definition, its worker and its producer", async () => {
    const start = await page("task-definitions", ["resize.ts", "worker.ts", "producer.ts"]);
    const worker = start("worker.ts");
    await ready(worker);
    const producer = start("producer.ts");
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    assert.deepEqual(producer.stdout.trim().split("\n"), [
      "32000 2026",
      "https://a.example/2.png?width=320",
      "https://a.example/3.png?width=64",
      "https://a.example/4.png?width=64",
      "not an image: text/plain",
    ]);
  });

  it("docs/task-definitions.md: inputs are checked before the wire, details pass the database and are not listed", async () => {
    const resize = defineTask({
      type: "image.resize",
      input: z.object({ url: z.string(), width: z.number() }),
      errors: { NOT_AN_IMAGE: z.object({ contentType: z.literal("text/plain").transform(() => "TEXT") }) },
      queue: "images",
    });
    await assert.rejects(client.submit(resize, { url: "a" } as never), InvalidPayloadError);
    const task = await client.submit(resize, { url: "https://a.example/6.txt", width: 1 });
    const failure = (result: Promise<unknown>) =>
      result.then(
        () => assert.fail("it succeeded"),
        (thrown: unknown) => thrown,
      );
    const error = await failure(client.handle(task.id, resize).result());
    assert.ok(error instanceof TaskFailedError);
    assert.ok(resize.isError(error, "NOT_AN_IMAGE"));
    assert.equal(error.details.contentType, "TEXT");
    const untyped = await failure(client.handle(task.id).result());
    assert.ok(untyped instanceof TaskFailedError);
    assert.deepEqual(untyped.details, { contentType: "text/plain" });
    const { tasks } = await client.tasks.listTasks({ states: [TaskState.FAILED] });
    const listed = tasks.find(({ id }) => id === task.id);
    assert.equal(listed?.failure?.code, "NOT_AN_IMAGE");
    assert.equal(listed?.failure?.details, "");
    assert.ok(listed?.omittedFields.includes("failure.details"), listed?.omittedFields.join(", "));
  });

  it("docs/batch-handlers.md: one call for the attempts of a key, and an outcome for each", async () => {
    const start = await page("batch-handlers", ["embed.ts", "worker.ts"]);
    const worker = start("worker.ts");
    const tasks = await Promise.all(
      ["en", "en", "de", "en", "en"].map((language, index) =>
        client.submit<{ vector: number[]; batch: number }>("text.embed", {
          text: index === 3 ? "" : "x".repeat(index + 1),
          language,
        }),
      ),
    );
    await ready(worker);
    const outcomes = await Promise.allSettled(tasks.map((task) => task.result()));
    assert.deepEqual(
      outcomes.map((each) =>
        each.status === "fulfilled" ? each.value : (each.reason as TaskFailedError).code,
      ),
      [
        { vector: [1], batch: 4 },
        { vector: [2], batch: 4 },
        { vector: [3], batch: 1 },
        "EMPTY_TEXT",
        { vector: [5], batch: 4 },
      ],
    );
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/producers.md: plain objects, a handle that was stored, a look-up by key, and an abort", async () => {
    const start = await page("producers", ["producer.ts"], { "worker.ts": GREETER });
    const worker = start("worker.ts");
    await ready(worker);
    const producer = start("producer.ts");
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    assert.deepEqual(producer.stdout.trim().split("\n"), [
      "Hello, Ada!",
      'succeeded true { name: \'Ada\' } {"contentType":"application/json","bytes":22,"json":{"text":"Hello, Ada!"}}',
      "true undefined",
      "no time left",
    ]);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/steps.md: a step that failed runs again alone, with the result of the one before", async () => {
    const broken = join(folder.path, "github-is-down");
    await writeFile(broken, "");
    const start = await page("steps", ["worker.ts"], { "services.ts": SERVICES });
    const worker = start("worker.ts", { BROKEN: broken });
    await ready(worker);
    const task = await client.submit<{ branch: string; url: string | null }>("issue.solve", { issue: 7 });
    assert.deepEqual(await task.result(), { branch: "b-1", url: null });
    const { detail, steps } = await client.get(task.id);
    assert.deepEqual(
      [detail, ...steps.map(({ name, state }) => `${name} ${state}`)],
      ["succeeded_with_warnings", "write_code done", "create_pr failed", "notify done"],
    );
    await rm(broken);
    await task.retry({ step: "create_pr" });
    assert.deepEqual(await task.result(), { branch: "b-1", url: "https://example/b-1" });
    assert.equal((await client.get(task.id)).detail, "succeeded");
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/task-metrics.md: sums and facts of a failed attempt, and the totals", async () => {
    const start = await page("task-metrics", ["worker.ts", "usage.ts"]);
    const worker = start("worker.ts");
    await ready(worker);
    const program = start("usage.ts");
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.deepEqual(program.stdout.trim().split("\n"), [
      "failed with { turn: 2, model: 'large' } { cost_usd: 0.5, tokens_in: 200 } then { cost_usd: 0.75, tokens_in: 300 }",
      "cost_usd: 1.25 in 2 attempts",
      "tokens_in: 500 in 2 attempts",
    ]);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/children.md: children with names, a task after them, their list, and a parent that waits on one slot", async () => {
    const start = await page("children", ["children.ts", "wait.ts"]);
    const program = start("children.ts", { WORKER_LOG_LEVEL: "error" });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.deepEqual(program.stdout.trim().split("\n"), [
      "merged 3 pages",
      "book.merge succeeded true",
      ...Array(3).fill("page.scan succeeded true"),
    ]);
    const waiting = start("wait.ts", { WORKER_LOG_LEVEL: "error" });
    assert.deepEqual(await waiting.ended, { code: 0, signal: null }, waiting.tail());
    assert.equal(waiting.stdout.trim(), "page 0 page 1 page 2");
  });

  it("docs/scratch.md: a folder for each attempt, kept after a failure, removed by its age at a later start", async () => {
    const start = await page("scratch", ["worker.ts"]);
    const dir = join(folder.path, "scratch-folders");
    const env = { WORKER_SCRATCH_DIR: dir, WORKER_SCRATCH_KEEP_S: "3600" };
    const worker = start("worker.ts", env);
    await ready(worker);
    const { folder: used, length } = await (await client.submit<Converted>("convert", "page")).result();
    assert.equal(length, 6);
    await assert.rejects((await client.submit("convert")).result(), /EMPTY_PAGE/);
    const kept = await worker.line("task.scratch.kept");
    assert.equal(await readFile(join(String(kept.path), "page.txt"), "utf8"), "null");
    assert.deepEqual([kept.files, kept.outcome], [1, "failed"]);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
    assert.deepEqual(await readdir(join(dir, "scratch")), [basename(String(kept.path))]);
    assert.notEqual(used, kept.path);
    const limited = start("worker.ts", { ...env, WORKER_SCRATCH_QUOTA_BYTES: "1.5" });
    assert.notEqual((await limited.ended).code, 0);
    assert.match(limited.stderr, /WORKER_SCRATCH_QUOTA_BYTES: "1\.5" is not an integer/);
  });

  it("docs/isolation.md: an endless loop and a crash end the attempt, and not the worker", async () => {
    const start = await page("isolation", ["worker.ts"]);
    const worker = start("worker.ts");
    await ready(worker);
    const once = { retry: { maxRetries: 0, retryTimeouts: false } };
    const parse = (kind: string, options: object = {}) =>
      client.submit<{ kind: string; pid: number }>("page.parse", { kind }, { ...once, ...options });
    const endless = await parse("endless", { timeouts: { runS: 2 } });
    const { kind, pid } = await (await parse("plain")).result();
    assert.equal(kind, "plain");
    assert.notEqual(pid, worker.pid);
    await assert.rejects(
      (await parse("broken")).result(),
      /KILLED_BY_SIGSEGV: The handler's process was ended/,
    );
    await assert.rejects(endless.result(), /TIMED_OUT: The run took longer than 2 s/);
    assert.equal(await (await client.submit("worker.pid")).result(), worker.pid);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/commands.md: a program as a task, with code and without", async () => {
    const start = await page("commands", ["worker.ts"]);
    const worker = start("worker.ts");
    await ready(worker);
    const path = join(folder.path, "words.txt");
    await writeFile(path, "three short words");
    const counted = await client.submit<string>("text.count", { path });
    assert.equal((await counted.result()).replaceAll(/\s+/g, " ").trim(), "50% 3 100%");
    const once = { retry: { maxRetries: 0 } };
    const nameless = await client.submit("text.count", { file: path }, once);
    await assert.rejects(
      nameless.result(),
      /INVALID_PAYLOAD: argument 4: \{input\.path\} has no value: input has "file"/,
    );
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
    const exec = Program.start("exec", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: [
        ...["worker", "exec", "--type", "file.size", "--queue", "files", "--scheduler", served.grpc],
        ...["--result", "text", "--permanent", "2", "--", "wc", "-c", "{input.path}"],
      ],
      env: { WORKER_ID: "exec" },
    });
    await ready(exec);
    const sized = await client.submit<string>("file.size", { path }, { queue: "files" });
    assert.match(await sized.result(), /^17 /);
    const lines: string[] = [];
    for await (const entry of sized.logs({ follow: true }))
      if (entry.kind === "line") lines.push(entry.message);
    assert.deepEqual(lines, [`17 ${path}`]);
    assert.deepEqual(await exec.end(), { code: 0, signal: null }, exec.tail());
  });

  it("docs/task-logs.md: lines by attempt, with secrets masked", async () => {
    const start = await page("task-logs", ["worker.ts", "producer.ts"]);
    const worker = start("worker.ts");
    await ready(worker);
    const producer = start("producer.ts");
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    assert.deepEqual(producer.stdout.trim().split("\n"), [
      "1 info reading { url: 'https://a.example', apiKey: '[redacted]' }",
      "1 warn the server is busy { status: 503 }",
      "2 info reading { url: 'https://a.example', apiKey: '[redacted]' }",
      "2 info done for customer [redacted] {}",
    ]);
  });

  it("docs/artifacts.md: each output once, read by a producer with its checksum", async () => {
    const start = await page("artifacts", ["worker.ts", "producer.ts", "s3.ts"]);
    const env = { WORKER_ARTIFACT_DIR: join(folder.path, "artifact-store") };
    const worker = start("worker.ts", env);
    await ready(worker);
    const producer = start("producer.ts", env);
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    const sha256 = createHash("sha256").update("1,1\n2,4\n3,9\n").digest("hex");
    assert.equal(producer.stdout, `data/rows.csv 12 sha256:${sha256}\n1,1\n2,4\n3,9\n`);
    const task = await client.submit<Record<"log", Artifact>>("report");
    const first = await task.result();
    assert.deepEqual(Object.keys(first), ["page", "rows", "log"]);
    assert.equal(await readFile(new URL(first.log.uri), "utf8"), "done\n");
    // A retry by hand makes nothing again.
    await task.retry();
    await worker.line("task.artifact.skipped", ({ artifact }) => artifact === "log.txt");
    assert.deepEqual(await task.result(), first);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
  });

  it("docs/artifacts.md: a bucket of S3", {
    skip: typeof versitygw === "string" ? versitygw : false,
  }, async () => {
    assert.ok(typeof versitygw !== "string");
    const service = await startVersitygw(versitygw.program, "acme-results");
    const env = { MUSTER_SCHEDULER_ADDR: served.grpc, WORKER_ID: "s3", ...service.env };
    const file = pathToFileURL(join(folder.path, "artifacts", "s3.ts")).href;
    const worker = Program.start("s3.ts", file, { base: import.meta.url, env });
    await ready(worker);
    const task = await client.submit<Artifact>("report");
    const { uri, size } = await task.result();
    assert.match(
      uri,
      new RegExp(`^s3://acme-results/muster/artifacts/${task.id}\\.[0-9a-f]{16}/report\\.txt$`),
    );
    const kept = await readFile(join(service.folder, uri.replace("s3://acme-results/", "")), "utf8");
    assert.deepEqual([kept, size], ["3 pages\n", 8]);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
    await service.stop();
  });

  it("docs/payloads.md: a large text, encrypted and in the store, and its removal by age on a schedule", async () => {
    const start = await page("payloads", ["payloads.ts", "worker.ts", "producer.ts"]);
    const dir = join(folder.path, "payload-store");
    const env = { PAYLOAD_DIR: dir, PAYLOAD_KEY_2026_11: randomBytes(32).toString("base64") };
    const worker = start("worker.ts", env);
    await ready(worker);
    const producer = start("producer.ts", env);
    assert.deepEqual(await producer.ended, { code: 0, signal: null }, producer.tail());
    assert.equal(producer.stdout, "true\n");
    const { tasks } = await client.tasks.listTasks({ taskType: "shout" });
    const { payload } = await client.get(tasks[0]?.id ?? "");
    const { header } = readEnvelope(payload.data ?? Buffer.of());
    assert.deepEqual(
      [payload.contentType, header.contentType, header.size, header.codecs.map(({ name }) => name)],
      [ENCODED_TYPE, "application/json", 1_700_002, ["gzip", "aes-256-gcm"]],
    );
    const id = await client.schedules.runNow("payloads-clean");
    await worker.line("task.completed", ({ task_id }) => task_id === id);
    await client.schedules.delete("payloads-clean");
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
    const keyless = start("worker.ts", { PAYLOAD_DIR: dir });
    assert.notEqual((await keyless.ended).code, 0);
    assert.match(keyless.stderr, /option keys\.2026-11: has 0 bytes; give 32, as bytes or in base64/);
  });

  it("docs/lifespan.md: services, middleware in order, and the tear-down after the last handler", async () => {
    const start = await page("lifespan", ["worker.ts"], { "pool.ts": POOL });
    const worker = start("worker.ts");
    await ready(worker);
    const headers = { tenant: "acme" };
    const greeted = await client.submit("greet", { name: "Ada" }, { headers });
    assert.equal(await greeted.result(), "Hello, Ada!");
    const once = { retry: { maxRetries: 0 } };
    const empty = await client.submit("greet", { name: "" }, { headers, ...once });
    await assert.rejects(empty.result(), /RANGE_ERROR: the name is empty/);
    const foreign = await client.submit("greet", { name: "Bob" }, once);
    await assert.rejects(foreign.result(), /TYPE_ERROR: the tenant is missing/);
    assert.deepEqual(await worker.end(), { code: 0, signal: null }, worker.tail());
    assert.deepEqual(
      worker.stderr.split("\n").flatMap((line) => /^noted: (.*)$/.exec(line)?.[1] ?? []),
      [
        "open",
        "write Ada",
        `end ${greeted.id}`,
        `end ${empty.id}`,
        `report ${empty.id} RangeError: the name is empty`,
        `report ${foreign.id} TypeError: the tenant is missing`,
        "closed",
      ],
    );
  });
});
