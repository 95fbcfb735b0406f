import assert from "node:assert/strict";
import { copyFile, mkdir, readFile, symlink, writeFile } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { type TestKit, testKit } from "@muster/worker/testing";
import { createDatabase, type TestDatabase } from "../support/database/postgres.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";

describe("bundled workers, as docs/bundling.md makes them", { timeout: 200_000 }, () => {
  let source: Folder;
  /** Without any package. */
  let bare: Folder;
  let db: TestDatabase;
  let kit: TestKit;

  before(async () => {
    source = await temporaryFolder();
    bare = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(source.path, "node_modules"));
    const text = await readFile(join(ROOT, "docs", "bundling.md"), "utf8");
    const env = toolEnv();
    const path = [join(ROOT, "node_modules", ".bin"), env.PATH].join(delimiter);
    const commands: string[] = [];
    for (const [, kind, name = "", block = ""] of text.matchAll(/^```(ts|sh) (\S+)\n([\s\S]*?)^```$/gm))
      if (kind === "ts") await writeFile(join(source.path, name), block);
      else commands.push(block);
    for (const command of commands) {
      const built = await runTool("bash", ["-euc", `npx() { "$@"; }\n${command}`], {
        cwd: source.path,
        env: { ...env, PATH: path },
      });
      assert.equal(built.code, 0, built.stderr);
    }
    db = await createDatabase();
    kit = await testKit({ databaseUrl: db.url });
  });

  after(async () => {
    await kit.stop();
    await db.drop();
    await source.remove();
    await bare.remove();
  });

  for (const [format, worker, thread] of [
    ["esm", "worker.mjs", "muster-thread.mjs"],
    ["cjs", "worker.cjs", "muster-thread.cjs"],
  ] as const) {
    it(`${format}: runs beside the bundle of its thread, without any package`, async () => {
      const folder = join(bare.path, format);
      await mkdir(folder);
      for (const file of [worker, thread])
        await copyFile(join(source.path, format, file), join(folder, file));
      const started = await kit.spawn(join(folder, worker));
      const task = await kit.client.submit("greet", { name: format });
      assert.deepEqual(await task.result({ timeoutS: 60 }), { text: `Hello, ${format}!` });
      assert.equal((await kit.waitFor({ id: task.id, state: "succeeded" })).workerId, started.id);
      const isolated = await kit.client.submit<number>("pid");
      assert.notEqual(await isolated.result({ timeoutS: 60 }), started.pid);
      assert.deepEqual(await started.stop(), { code: 0, signal: null });
    });

    it(`${format}: without that file it takes the installed package's, or says what to do`, async () => {
      const installed = join(source.path, `${format}-alone`);
      const alone = join(bare.path, `${format}-alone`);
      for (const folder of [installed, alone]) {
        await mkdir(folder);
        await copyFile(join(source.path, format, worker), join(folder, worker));
      }
      const started = await kit.spawn(join(installed, worker));
      assert.deepEqual(await started.stop(), { code: 0, signal: null });
      const { code, stderr } = await runTool(execPath, [join(alone, worker)], { cwd: alone });
      assert.equal(code, 1);
      assert.match(
        stderr,
        /Error: The connection of @muster\/worker runs in a thread, whose file was not found beside file:.* Bundle the entry @muster\/worker\/thread as muster-thread into the same folder \(esbuild: muster-thread=@muster\/worker\/thread\), or mark @muster\/worker as external and install it there\./,
      );
      assert.doesNotMatch(stderr, /\n {4}at /);
    });
  }
});
