/** Runs the examples of docs/fairness.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "fairness.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/fairness.md", () => {
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

  it("sets weights of queues and keys with the CLI, then submits in TypeScript", async () => {
    const shell = await runTool("bash", ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"], {
      env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS },
    });
    assert.equal(shell.code, 0, `${shell.stdout}${shell.stderr}`);
    assert.match(shell.stdout, /^checkout has weight 3; 0 tasks ready to start$/m);
    assert.match(shell.stdout, /^checkout\topen\t.*\t3\t$/m);
    assert.match(shell.stdout, /^the weight of tenant-7 in reports is 2; 1 ready to start, 0 active$/m);
    assert.match(shell.stdout, /^tenant-7\t2\*\t1\t0\t0$/m);

    const file = join(folder.path, "submit.ts");
    await writeFile(file, BLOCKS.get("ts submit.ts") ?? "");
    const program = Program.start("submit.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    const { fairnessKeys } = await fleet.client.fleet.listFairnessKeys({ queue: "reports" });
    assert.deepEqual(
      fairnessKeys.map(({ key, weight, overridden, readyCount }) => [key, weight, overridden, readyCount]),
      [
        ["tenant-1", 1, false, 1n],
        ["tenant-7", 2, true, 2n],
      ],
    );
  });
});
