/** The demo: a scheduler, workers that are killed, and pages that are recognised all the same. */
import { Client, type PlainTask } from "@muster/worker/client";
import { startOtel } from "@muster/worker/otel";
import { createBoard } from "./board.ts";
import { DemoFleet } from "./demo-fleet.ts";
import { loadPages, type Page, report } from "./demo-pages.ts";
import { PageTasks } from "./page-tasks.ts";

const WORKERS = ["ocr-1", "ocr-2"];

const otel = await startOtel({ serviceName: "ocr-demo" });
const interrupted = new AbortController();
process.once("SIGINT", () => interrupted.abort(new Error("interrupted")));
process.once("SIGTERM", () => interrupted.abort(new Error("terminated")));
const fleet = new DemoFleet({ say, signal: interrupted.signal });

try {
  process.exitCode = await demo();
} catch (error) {
  for (const { name, tail } of fleet.children) say(`\nLast lines of ${name}:\n${tail()}`);
  // Below the lines of the programs, which would scroll it off the screen.
  say(`\nThe demo failed: ${error instanceof Error ? error.message : String(error)}`);
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
  const board = createBoard(pages.map(({ name }) => name));
  const show = (text: string) => board.log(text);
  const tasks = new PageTasks({
    client,
    signal: interrupted.signal,
    onUpdate: (index, task) => board.update(index, task),
  });
  // The rest is submitted later: on a busy machine all pages could be done before the scheduler is killed.
  const atFirst = Math.ceil(pages.length / 2);
  show(`Submitting ${atFirst} of ${pages.length} pages ...\n`);
  await tasks.submit(pages.slice(0, atFirst));

  await killWorker();
  show(`--- Submitting the other ${pages.length - atFirst} pages ...\n`);
  await tasks.submit(pages.slice(atFirst));
  await killScheduler();
  await askAboutMisspelledType();
  const ended = await tasks.allEnded();
  board.close();
  const wrong = pages.filter((page, index) => !report(page, ended[index], say));
  sayWhatHappened(pages, ended);
  return wrong.length === 0 ? 0 : 1;

  async function killWorker(): Promise<void> {
    const task = await tasks.taskThat((one) => inInference(one) && one.workerId === WORKERS[0]);
    show(`\n--- Killing the process of ${task.workerId} (SIGKILL) while it works on ${task.id} ...`);
    fleet.killWorker(task.workerId);
    // An update may be left out: the page may be in its next attempt already.
    await tasks.taskThat(
      (one) => one.id === task.id && (one.attemptId !== task.attemptId || !inInference(one)),
    );
    show(await fleet.cli("why", task.workerId));
  }

  async function killScheduler(): Promise<void> {
    const task = await tasks.taskThat(inInference);
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
}

function inInference({ state, phase }: PlainTask): boolean {
  return state === "running" && phase === "inference";
}

function sayWhatHappened(pages: readonly Page[], tasks: readonly PlainTask[]): void {
  const id = tasks[0]?.id ?? "t-1";
  const succeeded = tasks.filter(({ state }) => state === "succeeded").length;
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
