/** Runs the example of docs/retries.md. */
import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT } from "../support/repo/checks.ts";

const TEXT = await readFile(join(ROOT, "docs", "retries.md"), "utf8");
const [, EXAMPLE = ""] = /^```ts retry\.ts\n([\s\S]*?)^```$/m.exec(TEXT) ?? [];

describe("the example of docs/retries.md", () => {
  let fleet: Fleet;
  let folder: Folder;

  before(async () => {
    folder = await temporaryFolder();
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await folder.remove();
  });

  it("retries a timeout, unless the policy excludes it", async () => {
    const file = join(folder.path, "retry.ts");
    await writeFile(file, EXAMPLE);
    const program = Program.start("retry.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, WORKER_LOG_LEVEL: "error" },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    const printed = program.stdout.split("\n").filter((line) => /^[a-zA-Z_]+$/.test(line));
    assert.deepEqual(printed, ["rendered", "TIMED_OUT"]);
  });
});
