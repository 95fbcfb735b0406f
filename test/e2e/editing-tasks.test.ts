/** Runs the examples of docs/editing-tasks.md. */
import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";

const TEXT = await readFile(join(ROOT, "docs", "editing-tasks.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/editing-tasks.md", () => {
  let fleet: Fleet;
  let folder: Folder;

  before(async () => {
    folder = await temporaryFolder();
    // Where a reader's file in the checkout would find the packages.
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await folder.remove();
  });

  async function run(block: string): Promise<string> {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get(`sh run ${block}`) ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    return stdout;
  }

  it("finds tasks by their tags, with the CLI and in TypeScript", async () => {
    const lines = (await run("tags")).trimEnd().split("\n");
    assert.deepEqual(lines.slice(0, 2), ["t-1", "t-2"]);
    assert.equal(lines.length, 3);
    assert.match(lines[2] ?? "", /^t-1\tqueued\tready\tocr\.page\t/);
    assert.equal(await runScript("tags.ts"), "[ [ 'import-18' ] ]");
  });

  it("holds a task back, explains it and releases it", async () => {
    const text = await run("holds");
    assert.match(text, /^(t-\d+) is held \(the amount is checked again \(by .+\)\); `muster release \1`/);
    assert.match(text, /\tqueued\theld\tinvoice\.send\t/);
    assert.match(text, /TASK_HELD.*the amount is checked again/s);
    assert.match(text, /(t-\d+) is not held and may start\n$/);
  });

  it("changes a task that waits", async () => {
    assert.match(
      await run("edits"),
      /^(t-\d+) priority: 0 -> 10\n\1 run timeout: none -> 2 h\n\1 retries: default -> 5\n\1 start: \S+ -> now\n$/,
    );
    assert.equal(await runScript("edits.ts"), "10 scheduled");
  });

  it("keeps the ended tasks of a queue for a shorter time", async () => {
    assert.equal(await run("retention"), "previews has retention=2d\npreviews has no settings of its own\n");
  });

  async function runScript(name: string): Promise<string> {
    const file = join(folder.path, name);
    await writeFile(file, BLOCKS.get(`ts ${name}`) ?? "");
    const program = Program.start(name, pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    return program.stdout.trim();
  }
});
