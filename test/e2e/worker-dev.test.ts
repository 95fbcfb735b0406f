import assert from "node:assert/strict";
import { symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type TestKit, testKit } from "@muster/worker/testing";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const WORKER = `
import { once } from "node:events";
import { Worker } from "@muster/worker";
import { greeting } from "./greeting.ts";

const worker = new Worker({
  tasks: {
    "dev.greet": () => greeting,
    "dev.wait": async (ctx) => {
      if (greeting !== "Hello") return greeting;
      await once(ctx.signal, "abort");
      ctx.signal.throwIfAborted();
    },
  },
});
await worker.run();
`;

describe("muster worker dev", { timeout: 200_000 }, () => {
  let folder: Folder;
  let db: TestDatabase;
  let kit: TestKit;
  let dev: Program;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    db = await createDatabase();
    kit = await testKit({ databaseUrl: db.url });
  });

  after(async () => {
    await killAll();
    await kit.stop();
    await db.drop();
    await folder.remove();
  });

  const write = (file: string, text: string) => writeFile(join(folder.path, file), text);
  const greet = async () => (await kit.client.submit<string>("dev.greet")).result({ timeoutS: 60 });
  const says = (text: RegExp) =>
    until(
      `muster worker dev says ${text}`,
      () => text.test(dev.stderr) || undefined,
      () => dev.tail(),
    );
  const ready = (mark: number) =>
    dev.line("worker.startup.phase", ({ phase }) => phase === "ready", { after: mark });

  it("runs the file, and reloads it when a file that it imports changes; running tasks go on anew", async () => {
    await write("worker.ts", WORKER);
    await write("greeting.ts", 'export const greeting: string = "Hello";\n');
    dev = Program.start("muster worker dev", "../../cli/bin/muster.js", {
      base: import.meta.url,
      args: ["worker", "dev", "worker.ts", "--drain", "100ms", "--scheduler", kit.scheduler.address],
      cwd: folder.path,
      env: { NO_COLOR: "1" },
    });
    await ready(0);
    assert.equal(await greet(), "Hello");
    const waiting = await kit.client.submit<string>("dev.wait");
    await kit.waitFor({ id: waiting.id, state: "running" }, { timeoutS: 60 });
    const mark = dev.mark();
    await write("greeting.ts", 'export const greeting: string = "Hi";\n');
    await says(/^note: greeting\.ts changed: the worker drains, then starts anew$/m);
    await ready(mark);
    assert.equal(await greet(), "Hi");
    // Its handler was aborted by the drain, and the new process ran it.
    assert.equal(await waiting.result({ timeoutS: 60 }), "Hi");
  });

  it("goes on with the code from before while a file has a syntax error", async () => {
    await write("greeting.ts", "export const greeting: string = ;\n");
    await says(/^error: greeting\.ts:1: .*; the worker goes on with the code from before$/m);
    assert.equal(await greet(), "Hi");
    // The same content again is no change.
    await write("greeting.ts", "export const greeting: string = ;\n");
    const mark = dev.mark();
    await write("greeting.ts", 'export const greeting: string = "Good day";\n');
    await ready(mark);
    assert.equal(await greet(), "Good day");
    assert.equal(dev.stderr.match(/^error: greeting\.ts/gm)?.length, 1);
  });

  it("starts a worker that has ended by itself at the next change", async () => {
    await write("greeting.ts", 'throw new Error("no greeting");\n');
    await says(
      /^note: the worker ended with exit code 1; it starts again when one of its \d+ files changes$/m,
    );
    const mark = dev.mark();
    await write("greeting.ts", 'export const greeting: string = "Bye";\n');
    await says(/^note: greeting\.ts changed: starting the worker$/m);
    await ready(mark);
    assert.equal(await greet(), "Bye");
  });

  it("drains and ends with Ctrl-C; a file that is missing or broken is said in a sentence", async () => {
    assert.deepEqual(await dev.end("SIGINT"), { code: 0, signal: null }, dev.tail());
    assert.ok(dev.lines.some(({ event }) => event === "worker.stopped"));
    await write("broken.mjs", "const = 1;\n");
    const run = (file: string) =>
      Program.start("muster worker dev", "../../cli/bin/muster.js", {
        base: import.meta.url,
        args: ["worker", "dev", file],
        cwd: folder.path,
        env: { NO_COLOR: "1" },
      });
    const missing = run("nowhere.ts");
    assert.deepEqual(await missing.ended, { code: 2, signal: null });
    assert.match(missing.stderr, /^error: there is no file .*nowhere\.ts$/m);
    dev = run("broken.mjs");
    await says(/^error: broken\.mjs:1: Unexpected token '='; the worker starts when that is corrected$/m);
    assert.deepEqual(await dev.end("SIGTERM"), { code: 0, signal: null });
  });
});
