import { type Task, TaskState } from "@muster/protocol";
import { Client, type TaskHandle } from "@muster/worker/client";
import { startOtel } from "@muster/worker/otel";
import { createBoard } from "./board.ts";
import { DemoFleet } from "./demo-fleet.ts";
import { loadPages, type Page, report } from "./demo-pages.ts";
import type { OcrResult } from "./worker.ts";

const WORKERS = ["ocr-1", "ocr-2"];

const otel = await startOtel({ serviceName: "ocr-demo" });
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
process.once("SIGTERM", () => interrupted.abort(new Error("terminated")));
const fleet = new DemoFleet({ say, signal: interrupted.signal });

try {
  process.exitCode = await demo();
} catch (error) {
  say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
  for (const { name, tail } of fleet.children) say(`\nLast lines of ${name}:\n${tail()}`);
  process.exitCode = 1;
} finally {
  // A task that is still watched would redial a scheduler that has ended.
  interrupted.abort(new Error("the demo has ended"));
  await fleet.stop();
  await otel.stop();
}

async function demo(): Promise<number> {
  say("Starting a scheduler with its own PostgreSQL ...");
  await fleet.startScheduler();
  say(`Starting ${WORKERS.length} OCR workers ...`);
  await Promise.all(WORKERS.map((id) => fleet.startWorker(id)));
  using client = new Client({ scheduler: fleet.grpc });
  const pages = await loadPages();
  say(`Submitting ${pages.length} pages ...\n`);
  const handles = await client.submitMany<OcrResult>(
    pages.map(({ image }) => ({ type: "ocr.page", payload: image, contentType: "image/png" })),
  );
  const board = createBoard(pages.map(({ name }) => name));
  const show = (text: string) => board.log(text);
  const latest = new Map<string, Task>();
  const changed = new EventTarget();
  const all = Promise.all(
    handles.map((handle, index) =>
      follow(handle, (task) => {
        latest.set(task.id, task);
        board.update(index, task);
        changed.dispatchEvent(new Event("task"));
      }),
    ),
  );
  // `await all` below throws its error. Until then Node would report it as an unhandled rejection and end the demo.
  all.catch(() => undefined);

  await killWorker();
  await killScheduler();
  await askAboutMisspelledType();
  const tasks = await all;
  board.close();
  const wrong = pages.filter((page, index) => !report(page, tasks[index], say));
  sayWhatHappened(pages, tasks);
  return wrong.length === 0 ? 0 : 1;

  async function killWorker(): Promise<void> {
    const task = await taskThat((one) => inInference(one) && one.workerId === WORKERS[0]);
    show(`\n--- Killing the process of ${task.workerId} (SIGKILL) while it works on ${task.id} ...`);
    fleet.killWorker(task.workerId);
    await taskThat((one) => one.id === task.id && one.attemptId === task.attemptId && !inInference(one));
    show(await fleet.cli("why", task.workerId));
  }

  async function killScheduler(): Promise<void> {
    const task = await taskThat(inInference);
    show(`\n--- Killing the scheduler (SIGKILL) while ${task.workerId} works on ${task.id} ...`);
    await fleet.restartScheduler();
    const kept = await Promise.all(WORKERS.map((id) => fleet.whenReconnected(id)));
    const says = WORKERS.map((id, index) => `${id} is connected and kept ${kept[index]} running`);
    show(`    It runs again: ${says.join("; ")}.\n`);
  }

  async function askAboutMisspelledType(): Promise<void> {
    const misspelled = await client.submit("ocr.pge", {});
    show(`--- Submitting "ocr.pge", which is misspelled, and asking why it waits ...`);
    show(await fleet.cli("why", misspelled.id));
    await misspelled.cancel("the demo has shown its explanation");
  }

  /** The first page task that matches, now or after a change. */
  function taskThat(matches: (task: Task) => boolean): Promise<Task> {
    const { promise, resolve, reject } = Promise.withResolvers<Task>();
    const look = () => {
      const found = [...latest.values()].find(matches);
      if (found) resolve(found);
    };
    changed.addEventListener("task", look);
    all.then(
      () => reject(new Error("every page was done before the fault could be shown")),
      (error: unknown) => reject(error),
    );
    look();
    return promise.finally(() => changed.removeEventListener("task", look));
  }
}

function inInference({ state, phase }: Task): boolean {
  return state === TaskState.RUNNING && phase === "inference";
}

async function follow(handle: TaskHandle<OcrResult>, onUpdate: (task: Task) => void): Promise<Task> {
  for await (const { task } of handle.watch({ signal: interrupted.signal })) {
    onUpdate(task);
  }
  return handle.get();
}

function sayWhatHappened(pages: readonly Page[], tasks: readonly Task[]): void {
  const id = tasks[0]?.id ?? "t-1";
  const succeeded = tasks.filter(({ state }) => state === TaskState.SUCCEEDED).length;
  const attempts = tasks.reduce((sum, task) => sum + task.attemptCount, 0);
  say(`
${succeeded} of ${pages.length} pages are done, in ${attempts} attempts: the killed worker's page was tried again, and the
killed scheduler cost none. All of it is kept; look at it with

  npm start -- --data-dir ${fleet.dataDir}     the same scheduler, at 127.0.0.1:7070
  npx muster tasks                           (in another terminal) what ran
  npx muster events ${id.padEnd(24)} the life of a task
  npx muster workers                         the workers

and submit work of your own:

  MUSTER_SCHEDULER_ADDR=127.0.0.1:7070 npm run worker:ocr
  npx muster submit ocr.page @examples/ocr/pages/receipt.png --wait
`);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
