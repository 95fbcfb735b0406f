import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, mkdtempSync, openSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { Worker } from "node:worker_threads";

/** A thread that reads the stack of this one when it is asked to, and then sets a flag and writes into a pipe. */
const READER = `
import { parentPort } from "node:worker_threads";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { readMainStack } from ${JSON.stringify(new URL("./main-stack.ts", import.meta.url).href)};
// The main thread has the id of the process. Until it sleeps in its read it may still run JavaScript.
const stat = "/proc/self/task/" + process.pid + "/stat";
const sleeps = () => /^\\d+ \\(.*\\) S /.test(readFileSync(stat, "utf8"));
parentPort.on("message", async ({ flag, pipe }) => {
  if (pipe && existsSync(stat)) while (!sleeps());
  parentPort.postMessage(await readMainStack());
  Atomics.store(flag, 0, 1);
  if (pipe) writeFileSync(pipe, "x");
});
parentPort.postMessage("ready");
`;

describe("the stack of the main thread", () => {
  let reader: Worker;

  before(async () => {
    reader = new Worker(new URL(`data:text/javascript,${encodeURIComponent(READER)}`));
    await once(reader, "message");
  });
  after(() => reader.terminate());

  /** What the thread reads while `block` holds this one until the flag, or the pipe, says that it has. */
  async function readWhile(block: (flag: Int32Array) => void, pipe?: string): Promise<readonly string[]> {
    const flag = new Int32Array(new SharedArrayBuffer(4));
    reader.postMessage({ flag, pipe });
    block(flag);
    const [frames] = await once(reader, "message");
    return frames;
  }

  it("names the functions that block it, the innermost first, with their places", async () => {
    function computes(flag: Int32Array): void {
      while (Atomics.load(flag, 0) === 0);
    }
    const frames = await readWhile(function handler(flag) {
      computes(flag);
    });
    assert.match(frames[0] ?? "", /^computes \(file:.*main-stack\.test\.ts:\d+:\d+\)$/);
    assert.match(frames[1] ?? "", /^handler \(/);
    assert.ok(frames.length <= 20);
  });

  it("says that it runs no JavaScript, and lets it go on afterwards", async () => {
    const folder = mkdtempSync(join(tmpdir(), "muster-stack-"));
    const pipe = join(folder, "pipe");
    execFileSync("mkfifo", [pipe]);
    // Opened for both, so that opening does not wait for a writer; reading does.
    const file = openSync(pipe, "r+");
    const frames = await readWhile(() => readSync(file, Buffer.alloc(1)), pipe);
    closeSync(file);
    rmSync(folder, { recursive: true });
    assert.match(frames[0] ?? "", /^\(it ran no JavaScript for 1000 ms/);
    const began = performance.now();
    await new Promise((resolve) => setImmediate(resolve));
    assert.ok(performance.now() - began < 1_000, "a pause was left behind");
  });
});
