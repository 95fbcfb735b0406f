/** Runs the examples of docs/statistics.md. */
import assert from "node:assert/strict";
import { readFile, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { env } from "node:process";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import { durationMs } from "@bufbuild/protobuf/wkt";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, Program } from "../support/programs/program.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { type Folder, temporaryFolder } from "../support/programs/serve.ts";
import { ROOT, runTool, toolEnv } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

const TEXT = await readFile(join(ROOT, "docs", "statistics.md"), "utf8");
const BLOCKS = new Map(
  [...TEXT.matchAll(/^```(.+)\n([\s\S]*?)^```$/gm)].map(([, kind = "", text = ""]) => [kind, text]),
);

describe("the examples of docs/statistics.md", () => {
  let fleet: Fleet;
  let folder: Folder;

  before(async () => {
    folder = await temporaryFolder();
    // Where a reader's file in the checkout would find the packages.
    await symlink(join(ROOT, "node_modules"), join(folder.path, "node_modules"));
    fleet = await Fleet.start();
    await fleet.worker("counted", { queue: "pages", slots: 2 });
    const retry = { maxRetries: 1, delaysS: [0] };
    const handles = await fleet.client.submitMany([
      { type: "fail", queue: "pages", retry },
      ...[1, 2, 3].map((payload) => ({ type: "echo", queue: "pages", payload })),
    ]);
    await Promise.allSettled(handles.map((handle) => handle.result()));
  });

  after(async () => {
    await killAll();
    await fleet.stop();
    await folder.remove();
  });

  it("an operator counts failures with the CLI, and reads the success rate when it is written", async () => {
    const rate = await until("the successes are counted", async () => {
      const { code, stdout, stderr } = await runTool(
        "bash",
        ["-euo", "pipefail", "-c", BLOCKS.get("sh run") ?? "false"],
        {
          env: { ...toolEnv(), MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc, NODE_OPTIONS: env.NODE_OPTIONS },
        },
      );
      assert.equal(code, 0, `${stdout}${stderr}`);
      assert.match(
        stdout,
        /^attempts\t2\tON_PURPOSE\tretryable\t.*\tt-\d+\.2\tcounted\tit failed on purpose$/m,
      );
      assert.match(stdout, /^tasks\t1\tON_PURPOSE\tRETRIES_EXHAUSTED\t/m);
      return stdout.trimEnd().endsWith("\n0.6") || undefined;
    });
    assert.ok(rate);
  });

  it("a program counts them", async () => {
    const file = join(folder.path, "failures.ts");
    await writeFile(file, BLOCKS.get("ts failures.ts") ?? "");
    const program = Program.start("failures.ts", pathToFileURL(file).href, {
      base: import.meta.url,
      env: { MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc },
    });
    assert.deepEqual(await program.ended, { code: 0, signal: null }, program.tail());
    assert.match(program.stdout, /^2 of 2 ON_PURPOSE, the last one in t-\d+$/m);
  });

  it("what was completed is listed by queue, by type and by worker", async () => {
    const [queue] = (await fleet.client.fleet.listQueues({})).queues.filter(({ name }) => name === "pages");
    assert.equal(queue?.recentCompletedCount, 3n);
    assert.ok(queue.recentCompletedAge && durationMs(queue.recentCompletedAge) < 60_000);
    const [echo] = queue.taskTypes.filter(({ taskType }) => taskType === "echo");
    assert.equal(echo?.recentCompletedCount, 3n);
    const worker = await until("the worker's heartbeat has them", async () => {
      const { worker: found } = await fleet.client.fleet.getWorker({ workerId: "counted" });
      return found?.completions?.completedCount === 3n ? found.completions : undefined;
    });
    assert.equal(worker.recentCompletedCount, 3n);
    assert.ok(worker.idleAge && worker.age);
    const { overview } = await fleet.client.fleet.getOverview({});
    assert.equal(overview?.recentCompletedCount, 3n);
    assert.equal(overview.workers[0]?.completions?.completedCount, 3n);
    const listed = await runMuster(fleet.scheduler.grpc, ["workers"]);
    assert.match(listed.stdout, /^counted\tready\t.*\t3\t3\t\d+$/m);
    const queues = await runMuster(fleet.scheduler.grpc, ["queues"]);
    assert.match(queues.stdout, /^pages\topen\t.*\t3$/m);
  });
});
