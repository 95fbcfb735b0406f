/** Runs the examples of docs/batches.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "batches.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/batches.md", () => {
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

  it("fills, shows and cancels a batch with the CLI", async () => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /b-1 is closed: 2 of 2 tasks are open/);
    assert.match(stdout, /progress\t0\/2\nqueued\t2\n/);
    assert.match(stdout, /t-2\tqueued\t.*\tocr\.page\tdefault/);
    assert.match(stdout, /progress\t2\/2\n.*cancelled\t2\ncompletion\tt-1\n/s);
    assert.match(stdout, /cancel reason\tthe wrong book/);
  });

  it("fills and cancels a batch in TypeScript", async () => {
    const file = join(folder.path, "batch.ts");
    await writeFile(file, BLOCKS.get("ts batch.ts") ?? "");
    const program = Program.start("batch.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.equal(program.stdout.trim(), "3 of 3 wait");
  });
});
