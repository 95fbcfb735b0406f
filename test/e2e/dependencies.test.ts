/** Runs the examples of docs/dependencies.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "dependencies.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/dependencies.md", () => {
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

  it("waits with the CLI, shows both directions, and ends with its predecessor", async () => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /waited for by\tt-2\tsucceeded\tqueued\t/);
    assert.match(stdout, /waited for by\tt-3\tended\tqueued/);
    assert.match(stdout, /WAITING_FOR_TASKS.*it waits for 1 task of 1: the success of t-1 \(page\.fetch\)/s);
    const { reason } = await fleet.taskReason("t-2", "DEPENDENCY_FAILED", 5_000);
    assert.match(reason.summary, /t-1, which it waited for, was cancelled/);
  });

  it("submits a graph in TypeScript", async () => {
    const file = join(folder.path, "graph.ts");
    await writeFile(file, BLOCKS.get("ts graph.ts") ?? "");
    const program = Program.start("graph.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.equal(program.stdout.trim(), "waiting_for_tasks");
  });
});
