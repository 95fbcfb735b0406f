import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { MUSTER } from "../support/programs/run-muster.ts";
import { until } from "../support/waits.ts";

/** Whether this system lets the test make a process namespace, which is what makes process 1. */
function mayUnshare(): boolean {
  try {
    execFileSync("unshare", ["--pid", "--fork", "--mount-proc", "true"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

describe("process 1 of a container", { skip: mayUnshare() ? false : "unshare is not permitted here" }, () => {
  let fleet: Fleet;
  const started: ChildProcess[] = [];

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    for (const child of started) child.kill("SIGKILL");
    await killAll();
    await fleet.stop();
  });

  const path = (file: string) => fileURLToPath(new URL(file, import.meta.url));

  for (const [what, command] of [
    ["a worker", [path("../support/workers/orphans.ts")]],
    [
      "muster run",
      [
        MUSTER,
        "run",
        "--restart",
        "never",
        "--",
        execPath,
        "--conditions=muster-source",
        path("../support/workers/orphans.ts"),
      ],
    ],
  ] as const) {
    it(`${what} reaps orphans, is drained by SIGTERM and keeps its exit code`, async () => {
      const id = what.replace(" ", "-");
      const child = spawn(
        "unshare",
        [
          "--pid",
          "--fork",
          "--kill-child",
          "--mount-proc",
          execPath,
          "--conditions=muster-source",
          ...command,
        ],
        {
          env: {
            ...process.env,
            NODE_TEST_CONTEXT: undefined,
            MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc,
            WORKER_ID: id,
            QUEUES: id,
          },
          stdio: ["ignore", "pipe", "inherit"],
        },
      );
      started.push(child);
      let output = "";
      child.stdout?.on("data", (chunk: Buffer) => {
        output += chunk.toString();
      });
      const task = await fleet.client.submit("orphans", { count: 20 }, { queue: id });
      // The handler answers with the zombies that are left when its orphans have ended.
      assert.deepEqual(await task.result(), { zombies: 0 });
      const ended = once(child, "exit");
      const [init = ""] = execFileSync("pgrep", ["-P", String(child.pid)])
        .toString()
        .split("\n");
      process.kill(Number(init), "SIGTERM");
      const [code] = await ended;
      assert.equal(code, 0, output);
      assert.match(output, /worker\.draining/);
      await until("the goodbye", async () =>
        (await fleet.workerEvents(id)).includes("worker.gone") ? true : undefined,
      );
    });
  }

  it("muster serve reaps too: a shell stands in its place", async () => {
    const child = spawn(
      "unshare",
      [
        ...["--pid", "--fork", "--kill-child", "--mount-proc", execPath, "--conditions=muster-source"],
        ...[
          MUSTER,
          "serve",
          "--grpc-addr",
          "127.0.0.1:0",
          "--http-addr",
          "127.0.0.1:0",
          "--log-format",
          "json",
        ],
      ],
      {
        env: { ...process.env, NODE_TEST_CONTEXT: undefined, DATABASE_URL: fleet.db.url },
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    started.push(child);
    let output = "";
    child.stdout?.on("data", (chunk: Buffer) => {
      output += chunk.toString();
    });
    await until("the start", () => (output.includes('"scheduler.started"') ? true : undefined));
    const [init = ""] = execFileSync("pgrep", ["-P", String(child.pid)])
      .toString()
      .split("\n");
    assert.match(execFileSync("ps", ["-o", "args=", "-p", init]).toString(), /^sh -c/);
    const ended = once(child, "exit");
    process.kill(Number(init), "SIGTERM");
    assert.equal((await ended)[0], 0, output);
  });
});
