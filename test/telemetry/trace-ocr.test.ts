import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { TaskHandle } from "@muster/worker/client";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";
import { OtlpReceiver, type ReceivedSpan } from "../support/telemetry/otlp.ts";
import { assertSteps, assertTree, only } from "../support/telemetry/trace-tree.ts";

const PAGE = join(ROOT, "examples/ocr/pages/columns.png");
const PNG = { contentType: "image/png" };

/** What the OCR demo's worker exports of pages that do not go smoothly. */
describe("the trace of the OCR demo's pages", () => {
  let receiver: OtlpReceiver;
  let fleet: Fleet;
  let folder: Folder;
  let pages: string;
  let image: Uint8Array<ArrayBuffer>;
  let worker: Program;

  before(async () => {
    folder = await temporaryFolder();
    pages = join(folder.path, "pages");
    await mkdir(pages);
    image = new Uint8Array(await readFile(PAGE));
    receiver = await OtlpReceiver.start();
    fleet = await Fleet.start({ env: receiver.env("scheduler") });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await receiver.stop();
    await folder.remove();
  });

  async function start(id: string): Promise<Program> {
    const worker = Program.start(id, "../../examples/ocr/worker.ts", {
      base: import.meta.url,
      env: {
        ...receiver.env("ocr"),
        MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc,
        WORKER_ID: id,
        OCR_PAGES_DIR: pages,
      },
    });
    await worker.line("worker.startup.phase", ({ phase }) => phase === "ready");
    return worker;
  }

  async function inInference(handle: TaskHandle): Promise<void> {
    for await (const { task } of handle.watch()) if (task.phase === "inference") return;
    assert.fail(`${handle.id} ended before its inference`);
  }

  /** The attempt's trace, complete, after a check that it is one tree. */
  async function attemptOf(attemptId: string, lastPhase: string) {
    const attempt = await receiver.attempt(attemptId);
    const inTrace = (name: string) =>
      receiver.span(
        `${name} of ${attemptId}`,
        (span) => span.name === name && span.traceId === attempt.traceId,
      );
    await inTrace("run default");
    await inTrace(`phase ${lastPhase}`);
    const spans = receiver.trace(attempt.traceId);
    assertTree(spans);
    assert.equal(attempt.attributes["muster.attempt.number"], attemptId.split(".")[1]);
    return { spans, attempt, ...assertSteps(spans, attempt) };
  }

  /** The phases follow each other within the run, and are most of it. */
  function assertPhases(spans: readonly ReceivedSpan[], run: ReceivedSpan, names: readonly string[]): void {
    const phases = spans
      .filter(({ parentSpanId, name }) => parentSpanId === run.spanId && name.startsWith("phase "))
      // A model that is loaded already takes no time.
      .sort((a, b) => a.startMs - b.startMs || a.endMs - b.endMs);
    assert.deepEqual(
      phases.map(({ name }) => name.replace("phase ", "")),
      names,
    );
    const sum = phases.reduce((total, { startMs, endMs }) => total + endMs - startMs, 0);
    const whole = run.endMs - run.startMs;
    assert.ok(sum <= whole + 5, `the phases last ${sum} ms of the run's ${whole}`);
    // Of a run that fails at once the rest is as long as a busy machine makes it.
    assert.ok(sum >= whole * 0.5 - 500, `the phases last only ${sum} ms of the run's ${whole}`);
  }

  it("has one whose worker was killed, with its second run", async () => {
    const victim = await start("ocr-1");
    const page = await fleet.client.submit("ocr.page", image, PNG);
    await inInference(page);
    await victim.end("SIGKILL");
    const lost = await attemptOf(`${page.id}.1`, "inference");
    assert.equal(lost.attempt.attributes["muster.attempt.outcome"], "requeued:stale");
    assert.equal(lost.attempt.attributes["error.type"], "WORKER_LOST");
    assert.ok(only(lost.spans, "phase inference", lost.run).failed);

    worker = await start("ocr-2");
    await page.result();
    const again = await attemptOf(`${page.id}.2`, "inference");
    assert.notEqual(again.attempt.traceId, lost.attempt.traceId);
    assert.deepEqual(again.attempt.links, linksTo(lost.spans, lost.attempt));
    assertPhases(again.spans, again.run, ["model_resolve", "model_load", "inference"]);
  });

  it("has one that was tried again because its picture came late", async () => {
    const page = await fleet.client.submit("ocr.page", { file: "late.png" }, { retry: { delaysS: [1] } });
    await worker.line("task.failed", ({ task_id }) => task_id === page.id);
    await copyFile(PAGE, join(pages, "late.part"));
    await rename(join(pages, "late.part"), join(pages, "late.png"));
    await page.result();

    const first = await attemptOf(`${page.id}.1`, "page_read");
    assert.equal(first.attempt.attributes["muster.attempt.outcome"], "requeued:retry");
    assert.equal(first.attempt.attributes["error.type"], "PAGE_NOT_FOUND");
    assert.ok(first.attempt.failed && first.run.failed && only(first.spans, "phase page_read").failed);
    assertPhases(first.spans, first.run, ["page_read"]);

    const second = await attemptOf(`${page.id}.2`, "inference");
    assert.notEqual(second.attempt.traceId, first.attempt.traceId);
    assert.equal(second.attempt.parentSpanId, "");
    assert.deepEqual(second.attempt.links, linksTo(first.spans, first.attempt));
    assert.equal(second.attempt.attributes["muster.attempt.outcome"], "succeeded");
    assertPhases(second.spans, second.run, ["page_read", "model_resolve", "model_load", "inference"]);
    assert.equal(second.wait.attributes["muster.wait.reason"], "WAITING_FOR_RETRY");
    const waited = second.wait.endMs - second.wait.startMs;
    assert.ok(waited >= 995, `it waited ${waited} ms for its second attempt`);
    // The second begins with the transaction that ends the first.
    const { startMs } = second.attempt;
    assert.ok(
      first.commit && startMs >= first.commit.startMs - 5 && startMs <= first.attempt.endMs + 5,
      `the second attempt begins at ${startMs}, the first ends at ${first.attempt.endMs}`,
    );
  });

  it("has one that was cancelled", async () => {
    const page = await fleet.client.submit("ocr.page", image, PNG);
    await inInference(page);
    await page.cancel("enough");
    const { attempt, run, spans } = await attemptOf(`${page.id}.1`, "inference");
    assert.equal(attempt.attributes["muster.attempt.outcome"], "cancelled");
    assert.equal(run.attributes["muster.attempt.outcome"], "cancelled");
    assert.ok(only(spans, "phase inference", run));
  });

  it("is whole: every trace one tree, every link to a span that was exported", () => {
    const traces = new Set(receiver.spans.map(({ traceId }) => traceId));
    assert.equal(traces.size, 5, "three submits, a retry and a run after a loss");
    for (const traceId of traces) assertTree(receiver.trace(traceId));
    const known = new Set(receiver.spans.map(({ traceId, spanId }) => `${traceId}/${spanId}`));
    const links = receiver.spans.flatMap((span) => span.links);
    assert.equal(links.length, 4);
    for (const { traceId, spanId, kind } of links)
      assert.ok(known.has(`${traceId}/${spanId}`), `${kind} links to a span that was not exported`);
  });
});

/** What a second attempt is linked to. */
function linksTo(spans: readonly ReceivedSpan[], attempt: ReceivedSpan) {
  const { traceId, spanId } = only(spans, "submit default");
  return [
    { traceId, spanId, kind: "submit" },
    { traceId: attempt.traceId, spanId: attempt.spanId, kind: "previous_attempt" },
  ];
}
