import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import type { Worker } from "node:worker_threads";
import { wordAccuracy } from "./accuracy.ts";
import { Engine, EngineError } from "./engine.ts";
import { Recogniser, UnreadableImageError } from "./recogniser.ts";

const folder = fileURLToPath(new URL("./pages/", import.meta.url));
const names = readdirSync(folder)
  .filter((file) => file.endsWith(".png"))
  .map((file) => file.slice(0, -".png".length));
const picture = (name: string) => readFileSync(`${folder}${name}.png`);
const expected = (name: string) => readFileSync(`${folder}${name}.txt`, "utf8");

/** Every thread that this process started, in order. */
const threads: Worker[] = [];
const remember = (thread: Worker) => threads.push(thread);
let recogniser: Recogniser;

before(async () => {
  process.on("worker", remember);
  recogniser = await Recogniser.load();
});

after(async () => {
  await recogniser.close();
  process.off("worker", remember);
  const survivors = threads.filter((thread) => !hasEnded(thread));
  await Promise.all(survivors.map((thread) => thread.terminate()));
  assert.equal(survivors.length, 0, "a thread outlived the recogniser");
});

test("the language data is found among the packages", async () => {
  const model = await Recogniser.resolve();
  assert.match(model.path, /eng\.traineddata\.gz$/);
  assert.equal(model.bytes, readFileSync(model.path).length);
});

test("there are pages to recognise", () => {
  assert.deepEqual(names, ["columns", "noisy", "receipt", "rotated", "sans", "serif", "table"]);
});

for (const name of names) {
  test(`${name}: over 90 % of the words are right`, async (t) => {
    const progress: number[] = [];
    const page = await recogniser.recognise(picture(name), { onProgress: (value) => progress.push(value) });
    const accuracy = wordAccuracy(expected(name), page.text);
    t.diagnostic(`${name}: ${(accuracy * 100).toFixed(1)} % in ${(page.elapsed / 1000).toFixed(2)} s`);
    assert.ok(accuracy > 0.9, `${(accuracy * 100).toFixed(1)} % of the words in:\n${page.text}`);
    assert.ok(page.confidence > 60 && page.confidence <= 100, `confidence ${page.confidence}`);
    assert.equal(page.words.map((word) => word.text).join(" "), page.text.trim().split(/\s+/).join(" "));
    assert.equal(progress.at(-1), 1);
    assert.deepEqual(
      progress,
      progress.toSorted((a, b) => a - b),
    );
  });
}

test("the model stays loaded between pages", () => {
  assert.equal(threads.length, 1);
});

test("an abort ends the engine's thread at once, and the next call loads another", async () => {
  const running = threads.at(-1);
  assert.ok(running && !hasEnded(running));
  const controller = new AbortController();
  const reason = new Error("no longer wanted");
  let abortedAt = 0;
  const onProgress = (value: number) => {
    if (value < 0.3 || controller.signal.aborted) return;
    abortedAt = performance.now();
    controller.abort(reason);
  };
  const work = recogniser.recognise(picture("serif"), { signal: controller.signal, onProgress });
  await assert.rejects(work, (error) => error === reason);
  const delay = performance.now() - abortedAt;
  assert.ok(delay < 500, `rejected ${delay.toFixed(0)} ms after the abort`);
  assert.ok(hasEnded(running), "the engine went on after the abort");
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);

  const page = await recogniser.recognise(picture("receipt"));
  assert.ok(wordAccuracy(expected("receipt"), page.text) > 0.9);
  assert.equal(threads.length, 2);
});

test("an abort while a fresh engine loads ends that engine", async () => {
  await assert.rejects(recogniser.recognise(Buffer.alloc(0)), UnreadableImageError);
  const controller = new AbortController();
  process.once("worker", () => controller.abort(new Error("changed my mind")));
  const before = threads.length;
  await assert.rejects(
    recogniser.recognise(picture("serif"), { signal: controller.signal }),
    /changed my mind/,
  );
  assert.equal(threads.length, before + 1);
  assert.ok(hasEnded(threads.at(-1)), "the engine went on loading after the abort");
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);

  const page = await recogniser.recognise(picture("receipt"));
  assert.ok(wordAccuracy(expected("receipt"), page.text) > 0.9);
});

test("an abort before the call or while waiting for a turn leaves the engine alone", async () => {
  const before = threads.length;
  const aborted = AbortSignal.abort(new Error("too late"));
  await assert.rejects(recogniser.recognise(picture("receipt"), { signal: aborted }), /too late/);

  const controller = new AbortController();
  const first = recogniser.recognise(picture("receipt"));
  const second = recogniser.recognise(picture("serif"), { signal: controller.signal });
  const third = recogniser.recognise(picture("table"));
  controller.abort(new Error("not after all"));
  await assert.rejects(second, /not after all/);
  assert.ok(wordAccuracy(expected("receipt"), (await first).text) > 0.9);
  assert.ok(wordAccuracy(expected("table"), (await third).text) > 0.9);
  assert.equal(getEventListeners(controller.signal, "abort").length, 0);
  assert.equal(threads.length, before);
});

test("bytes that are no picture are refused, and the next page is recognised", async () => {
  await assert.rejects(recogniser.recognise(Buffer.from("this is no picture")), UnreadableImageError);
  await assert.rejects(recogniser.recognise(picture("receipt").subarray(0, 4_000)), UnreadableImageError);
  const page = await recogniser.recognise(picture("receipt"));
  assert.ok(wordAccuracy(expected("receipt"), page.text) > 0.9);
});

test("language data that cannot be used is named as the fault, and no thread stays", async () => {
  await assert.rejects(Engine.start(folder), (error) => {
    return error instanceof EngineError && error.message.includes("eng.traineddata");
  });
  assert.ok(hasEnded(threads.at(-1)));
});

test("closing stops the page under way; a closed recogniser refuses", async () => {
  const other = await Recogniser.load();
  const started = Promise.withResolvers<void>();
  const work = other.recognise(picture("serif"), { onProgress: () => started.resolve() });
  const outcome = assert.rejects(work, /was closed/);
  await started.promise;
  await Promise.all([other.close(), other.close()]);
  await outcome;
  assert.ok(hasEnded(threads.at(-1)));
  await assert.rejects(other.recognise(picture("receipt")), /was closed/);
});

/** Node gives a thread that has ended the id -1. */
function hasEnded(thread: Worker | undefined): boolean {
  return thread?.threadId === -1;
}
