import assert from "node:assert/strict";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { nothingLeftOf } from "../support/programs/left-behind.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, serve, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";

/** The recognition of seven pages takes 10 s on two idle cores. */
const DEMO_MS = 300_000;

describe("npm run demo", () => {
  let folder: Folder;

  before(async () => {
    folder = await temporaryFolder();
  });

  after(async () => {
    await killAll();
    await folder.remove();
  });

  it("T35: recognises every page, survives what it kills, and a scheduler starts beside its data", {
    timeout: DEMO_MS,
  }, async () => {
    const demo = Program.start("demo", "../../examples/ocr/demo.ts", {
      base: import.meta.url,
      // In a folder of its own: the checkout's .muster may be in use.
      cwd: folder.path,
      env: { DATABASE_URL: "", PWD: folder.path },
    });
    assert.deepEqual(await demo.ended, { code: 0, signal: null }, demo.tail());

    const pages = (await readdir(join(ROOT, "examples/ocr/pages"))).filter((file) => file.endsWith(".png"));
    assert.ok(pages.length >= 6, `${pages.length} pages`);
    for (const page of pages.map((file) => file.replace(".png", ""))) {
      const [, percent] =
        new RegExp(`=== ${page}: .* confidence \\d+ %, ([\\d.]+) % of`).exec(demo.stdout) ?? [];
      assert.ok(Number(percent) > 90, `${page}: ${percent} % of the words`);
    }
    const phases = demo.stdout.match(/task t-\S+ on ocr-[12](?:, attempt 2)?: .*inference \d+ ms/g) ?? [];
    assert.equal(phases.length, pages.length);
    assert.match(demo.stdout, /model_resolve \d+ ms, model_load \d+ ms/);
    // On a busy machine the worker is started again before the command has asked why it is gone.
    assert.match(
      demo.stdout,
      /KILLED .*\n.*was killed by SIGKILL .*; 1 attempt was requeued|WAITING_FOR_CONNECTION [\s\S]*start_number +2 |ocr-1 is ready\n/,
    );
    assert.match(
      demo.stdout,
      /It runs again: ocr-1 is connected and kept \d running; ocr-2 is connected and kept \d/,
    );
    assert.match(demo.stdout, /NO_WORKER_FOR_TYPE .*\n.*did you mean ocr\.page\?/);
    assert.match(
      demo.stdout,
      new RegExp(`${pages.length} of ${pages.length} pages are done, in ${pages.length + 1} attempts`),
    );
    assert.match(demo.stdout, /npx muster tasks/);
    await nothingLeftOf(folder.path);

    // The demo's data lies in .muster/demo, the scheduler's in .muster.
    await serve(folder, ["--data-dir", join(folder.path, ".muster")]);
  });
});
