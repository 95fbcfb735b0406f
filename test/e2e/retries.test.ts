/** Runs the examples of docs/retries.md. */
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

const TEXT = await readFile(join(ROOT, "docs", "retries.md"), "utf8");

describe("the examples of docs/retries.md", () => {
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

  /** Words that the example prints, each on a line. */
  async function run(name: string): Promise<string[]> {
    const example = TEXT.split("```ts ").find((text) => text.startsWith(`${name}\n`)) ?? "";
    const file = join(folder.path, name);
    await writeFile(file, example.slice(name.length, example.indexOf("\n```")));
    const program = Program.start(name, pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, WORKER_LOG_LEVEL: "error" },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    return program.stdout.split("\n").filter((line) => /^[a-zA-Z_]+( with \d+ MB)?$/.test(line));
  }

  it("sets defaults of a queue with the CLI", async () => {
    const [, block = ""] = TEXT.split("```sh run\n");
    const shell = await runTool("bash", ["-euo", "pipefail", "-c", block.slice(0, block.indexOf("```"))], {
      env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS },
    });
    assert.equal(shell.code, 0, `${shell.stdout}${shell.stderr}`);
    const settings = "backoff=10s,factor=2,max=10m";
    assert.match(shell.stdout, new RegExp(`^mail has max-retries=10 ${settings}$`, "m"));
    assert.match(
      shell.stdout,
      /^retries\t2 \(of the task\), waits 10s,factor=2,max=10m \(default of queue mail\)$/m,
    );
    assert.match(shell.stdout, new RegExp(`^mail\\topen\\t.*\\tmax-retries=10 ${settings}$`, "m"));
    assert.match(shell.stdout, new RegExp(`^mail has ${settings}$`, "m"));
  });

  it("retries a timeout, unless the policy excludes it", async () => {
    assert.deepEqual(await run("retry.ts"), ["rendered", "TIMED_OUT"]);
  });

  it("raises the cost of a task that ran out of memory", async () => {
    assert.deepEqual(await run("out-of-memory.ts"), ["indexed with 64 MB"]);
  });
});
