import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Task, TaskState } from "@muster/protocol";
import { Client, type TaskHandle } from "@muster/worker/client";
import { startOtel } from "@muster/worker/otel";
import { wordAccuracy } from "./accuracy.ts";
import { createBoard } from "./board.ts";
import { type Child, startChild } from "./children.ts";
import type { OcrResult } from "./worker.ts";

const WORKERS = 2;
const PAGES = fileURLToPath(new URL("./pages/", import.meta.url));
const DATA_DIR = join(".muster", "demo");
/** The first start makes a database cluster; a cold machine takes a few seconds for it. */
const START_TIMEOUT_MS = 120_000;

const otel = await startOtel({ serviceName: "ocr-demo" });
const children: Child[] = [];
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
process.once("SIGTERM", () => interrupted.abort(new Error("terminated")));

try {
  process.exitCode = await demo();
} catch (error) {
  say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  for (const child of children) say(`\nLast lines of ${child.name}:\n${child.tail()}`);
  process.exitCode = 1;
} finally {
  // Workers first: they hand in what they hold while there is somebody to take it.
  for (const child of children.toReversed()) await child.stop();
  await otel.stop();
}

async function demo(): Promise<number> {
  say("Starting a scheduler with its own PostgreSQL ...");
  const address = await startScheduler();
  say(`Starting ${WORKERS} OCR workers ...`);
  await Promise.all(Array.from({ length: WORKERS }, (_, index) => startWorker(`ocr-${index + 1}`, address)));
  using client = new Client({ scheduler: address });
  const pages = await loadPages();
  say(`Submitting ${pages.length} pages ...\n`);
  const handles = await client.submitMany<OcrResult>(
    pages.map(({ image }) => ({ type: "ocr.page", payload: image, contentType: "image/png" })),
  );
  const board = createBoard(pages.map(({ name }) => name));
  const tasks = await Promise.all(
    handles.map((handle, index) => follow(handle, (task) => board.update(index, task))),
  );
  board.close();
  const wrong = pages.filter((page, index) => !report(page, tasks[index]));
  sayWhereToLook(address, tasks);
  return wrong.length === 0 ? 0 : 1;
}

function startScheduler(): Promise<string> {
  return started("the scheduler", (ready) => {
    const args = ["serve", "--data-dir", DATA_DIR, "--log-format", "json"];
    const ports = ["--grpc-addr", "127.0.0.1:0", "--http-addr", "127.0.0.1:0"];
    return startChild("the scheduler", "../../cli/bin/muster.js", [...args, ...ports], {}, (line) => {
      if (line.event === "database.embedded_started") say(`  PostgreSQL ${line.version} in ${line.data_dir}`);
      if (line.event !== "scheduler.started") return;
      say(`  scheduler: gRPC on ${line.grpc_addr}, HTTP on http://${line.http_addr}`);
      ready(String(line.grpc_addr));
    });
  });
}

function startWorker(id: string, address: string): Promise<string> {
  const phases: string[] = [];
  const env = { MUSTER_SCHEDULER_ADDR: address, WORKER_ID: id };
  return started(id, (ready) =>
    startChild(id, "./worker.ts", [], env, (line) => {
      if (line.event !== "worker.startup.phase") return;
      phases.push(`${line.phase} ${line.elapsed_ms} ms`);
      if (line.phase !== "ready") return;
      say(`  ${id}: ${phases.join(", ")}`);
      ready(id);
    }),
  );
}

/** Resolves with what the child says when it is ready; rejects when it ends or takes too long. */
async function started(name: string, start: (ready: (value: string) => void) => Child): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const child = start(resolve);
  children.push(child);
  child.ended.then((how) => reject(new Error(`${name} ended (${how}) before it was ready`)), reject);
  const timer = setTimeout(() => reject(new Error(`${name} was not ready in time`)), START_TIMEOUT_MS);
  interrupted.signal.addEventListener("abort", () => reject(interrupted.signal.reason), { once: true });
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

interface Page {
  readonly name: string;
  readonly image: Uint8Array;
  readonly expected: string;
}

async function loadPages(): Promise<Page[]> {
  const files = (await readdir(PAGES)).filter((file) => file.endsWith(".png")).sort();
  return Promise.all(
    files.map(async (file) => ({
      name: file.replace(".png", ""),
      image: new Uint8Array(await readFile(join(PAGES, file))),
      expected: await readFile(join(PAGES, file.replace(".png", ".txt")), "utf8"),
    })),
  );
}

async function follow(handle: TaskHandle<OcrResult>, onUpdate: (task: Task) => void): Promise<Task> {
  for await (const { task } of handle.watch({ signal: interrupted.signal })) {
    onUpdate(task);
  }
  return handle.get();
}

/** Prints what became of a page; true when it was recognised with more than 90 % of its words right. */
function report(page: Page, task: Task | undefined): boolean {
  if (task?.state !== TaskState.SUCCEEDED) {
    say(`\n=== ${page.name}: ${task?.failure?.code ?? "no result"} ${task?.failure?.message ?? ""}`);
    return false;
  }
  const result = JSON.parse(new TextDecoder().decode(task.output)) as OcrResult;
  const right = wordAccuracy(page.expected, result.text);
  const phases = (task.metrics?.phases ?? []).map(
    ({ phase, duration }) => `${phase} ${milliseconds(duration)} ms`,
  );
  say(
    `\n=== ${page.name}: ${result.words} words, confidence ${Math.round(result.confidence)} %, ${(right * 100).toFixed(1)} % of the words right`,
  );
  say(`    task ${task.id} on ${task.workerId}: ${phases.join(", ")}\n`);
  say(result.text.trim().replaceAll(/^/gm, "    "));
  return right > 0.9;
}

function sayWhereToLook(address: string, tasks: readonly Task[]): void {
  const id = tasks[0]?.id ?? "t-1";
  say(`
All pages are done. What was done is kept; look at it with

  npm start -- --data-dir ${DATA_DIR}          the same scheduler, at ${address.split(":")[0]}:7070
  npx muster tasks                           (in another terminal) what ran
  npx muster events ${id.padEnd(24)} the life of a task
  npx muster workers                         who is there

and give it work of your own:

  MUSTER_SCHEDULER_ADDR=127.0.0.1:7070 npm run worker:ocr
  npx muster submit ocr.page @examples/ocr/pages/receipt.png --wait
`);
}

function milliseconds(duration: { seconds: bigint; nanos: number } | undefined): number {
  return duration ? Number(duration.seconds) * 1_000 + Math.round(duration.nanos / 1e6) : 0;
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
