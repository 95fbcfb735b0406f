/** Runs the examples of docs/schedules.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "schedules.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/schedules.md", () => {
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

  it("an operator sets, shows, runs, pauses and deletes schedules with the CLI", async () => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /^the schedule nightly-report is set; next tick in /m);
    assert.match(stdout, /^nightly-report\tactive\t30 2 \* \* \* Europe\/Berlin\t/m);
    assert.equal(stdout.match(/^next tick\t\d{4}-\d\d-\d\dT0[01]:30:00\.000Z/gm)?.length, 5);
    assert.match(stdout, /^t-\d+$/m);
    assert.match(stdout, /SCHEDULE_PAUSED/);
    assert.match(stdout, /^the schedule nightly-report is resumed; next tick in /m);
    assert.match(stdout, /^the schedule feed is deleted$/m);
  });

  it("a program sets its schedule and runs it on request", async () => {
    const file = join(folder.path, "report.ts");
    await writeFile(file, BLOCKS.get("ts report.ts") ?? "");
    const program = Program.start("report.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    const lines = program.stdout.trim().split("\n");
    assert.deepEqual(
      lines.filter((line) => !line.startsWith("{")),
      ["ran on request: true", "5 next ticks"],
    );
  });
});
