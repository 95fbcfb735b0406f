/** Runs the examples of docs/rate-limits.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "rate-limits.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/rate-limits.md", () => {
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

  it("limits, overrides and pauses with the CLI", async () => {
    const { code, stdout, stderr } = await runTool(
      "bash",
      ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
      { env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS } },
    );
    assert.equal(code, 0, `${stdout}${stderr}`);
    assert.match(stdout, /the rate of smtp is 50\/1m:5; 1 task waiting/);
    assert.match(stdout, /^smtp\t50\/1m\*\t5\t5\t\t\t1\t/m);
    assert.match(stdout, /^smtp\t100\/1m\t10\t10\t\t\t1\t/m);
    assert.match(stdout, /default is limited to 1000\/1h; 1 task ready to start/);
    assert.match(stdout, /smtp is paused for (10 min|9 min 59 s); 1 task waiting\nsmtp is not paused/);
  });

  it("pauses a key in a handler", async () => {
    const file = join(folder.path, "limits.ts");
    await writeFile(file, BLOCKS.get("ts limits.ts") ?? "");
    const program = Program.start("limits.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.match(program.stdout, /^200 2$/m);
  });
});
