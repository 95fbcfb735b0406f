/** The example worker in Go: generated, compiled and run against a real scheduler. */
import assert from "node:assert/strict";
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { cp, readdir, readFile, rename, rm } from "node:fs/promises";
import { userInfo } from "node:os";
import { join } from "node:path";
import { env, execPath } from "node:process";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { WorkerState } from "@muster/protocol";
import { Fleet, G } from "../support/fleet/fleet.ts";
import { keptFolder } from "../support/programs/kept-folder.ts";
import { killAll } from "../support/programs/program.ts";
import { MUSTER } from "../support/programs/run-muster.ts";
import { hasProgram, ROOT, runTool } from "../support/repo/checks.ts";
import { within } from "../support/waits.ts";

const EXAMPLE = join(ROOT, "examples", "go-worker");
const hasGo = await hasProgram("go", "version");

/** A scheduler needs a second or two to start. */
const PATIENT = ["--lease", "10", "--reconnect-grace", "10", "--accept-deadline", "10"];

describe("the example worker in Go", {
  skip: hasGo ? false : "go is not on the PATH: install Go 1.25 or newer to run this",
}, () => {
  let fleet: Fleet;
  let binary: string;
  const workers: ChildProcess[] = [];

  before(
    async () => {
      [fleet, binary] = await Promise.all([Fleet.start({ args: PATIENT }), compiled()]);
    },
    { timeout: 600_000 },
  );

  after(async () => {
    for (const worker of workers) worker.kill("SIGKILL");
    await killAll();
    await fleet.stop();
  });

  /** Starts a worker; `output` has its log so far. */
  function start(id: string, variables: Record<string, string> = {}) {
    const process = spawn(binary, {
      env: {
        ...env,
        MUSTER_SCHEDULER_ADDR: fleet.scheduler.grpc,
        WORKER_ID: id,
        MUSTER_TOKEN: "",
        ...variables,
      },
      stdio: ["ignore", "inherit", "pipe"],
    });
    workers.push(process);
    let log = "";
    process.stderr.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
    return { process, log: () => log };
  }

  async function ready(id: string): Promise<void> {
    await within("the worker is ready", G, async () => {
      const { workers } = await fleet.client.fleet.listWorkers({});
      return workers.some((worker) => worker.id === id && worker.state === WorkerState.READY) || undefined;
    });
  }

  it("runs tasks, and leaves when it is asked to", async () => {
    const { process } = start("go-1");
    await ready("go-1");
    const quick = await fleet.client.submit("greet", { name: "Ada" });
    assert.equal(await quick.result(), "Hello Ada");
    const wrong = await fleet.client.submit("greet", "no object");
    await assert.rejects(wrong.result(), { code: "INVALID_PAYLOAD" });

    const slow = await fleet.client.submit("greet", { name: "Ada", seconds: 600 });
    await fleet.eventually(slow.id, "started");
    await slow.cancel("not needed");
    await fleet.eventually(slow.id, "cancelled");

    process.kill("SIGTERM");
    assert.deepEqual(await once(process, "exit"), [0, null]);
    const { value: reason } = await within("the worker is gone", G, async () => {
      const { goneReason } = await fleet.workerState("go-1");
      return goneReason === "" ? undefined : goneReason;
    });
    assert.equal(reason, "finished");
  });

  it("keeps its attempt while the scheduler is killed and started again", async () => {
    const { process } = start("go-2");
    await ready("go-2");
    const task = await fleet.client.submit("greet", { name: "Eve", seconds: 1 });
    await fleet.eventually(task.id, "started");
    await fleet.scheduler.program.end("SIGKILL");
    await fleet.restart(fleet.scheduler, PATIENT);
    assert.equal(await task.result(), "Hello Eve");
    assert.deepEqual(await fleet.events(task.id), [
      ...["created", "assigned", "accepted", "started"],
      ...["task.greeting.started", "task.greeting.completed", "succeeded"],
    ]);
    process.kill("SIGTERM");
    assert.deepEqual(await once(process, "exit"), [0, null]);
  });

  it("passes level resilient of the conformance suite", {
    skip: env.CI ? false : "40 s of faults and waits, which run when CI is set",
    timeout: 300_000,
  }, async () => {
    const args = ["conformance", "--json", "--level", "resilient", "--jobs", "3", "--patience", "5"];
    const { code, stdout } = await runTool(execPath, [MUSTER, ...args, "--", `${binary}-conformance`]);
    const { cases } = JSON.parse(stdout) as { cases: readonly { readonly outcome: string }[] };
    assert.deepEqual(
      cases.filter(({ outcome }) => outcome !== "passed"),
      [],
    );
    assert.ok(cases.length > 30);
    assert.equal(code, 0);
  });

  it("ends with the reason when the scheduler refuses it", async () => {
    const { process, log } = start("-not an id-");
    assert.deepEqual(await once(process, "exit"), [1, null]);
    assert.match(log(), /worker_id/);
  });
});

/** The example's program, kept between runs under the hash of its sources and the protos. */
async function compiled(): Promise<string> {
  const hash = createHash("sha256");
  for (const folder of [EXAMPLE, join(ROOT, "proto")]) {
    const names = (await readdir(folder, { recursive: true })).filter((name) =>
      /\.(go|mod|sum|proto|yaml)$/.test(name),
    );
    for (const name of names.filter((each) => !each.startsWith("gen")).sort())
      hash.update(name).update(await readFile(join(folder, name)));
  }
  const binary = join(
    keptFolder(),
    `muster-go-worker-${userInfo().username}-${hash.digest("hex").slice(0, 12)}`,
  );
  if (existsSync(binary) && existsSync(`${binary}-conformance`)) return binary;
  const folder = `${binary}.sources`;
  await rm(folder, { recursive: true, force: true });
  await cp(EXAMPLE, folder, { recursive: true });
  const run = promisify(execFile);
  const path = `${join(ROOT, "node_modules", ".bin")}:${env.PATH}`;
  const template = (await readFile(join(EXAMPLE, "buf.gen.yaml"), "utf8")).replace(
    "../../proto",
    join(ROOT, "proto"),
  );
  await run("buf", ["generate", "--template", template], { cwd: folder, env: { ...env, PATH: path } });
  await run("go", ["vet", "./..."], { cwd: folder });
  await run("go", ["build", "-o", `${binary}-conformance`, "./conformance"], { cwd: folder });
  await run("go", ["build", "-o", `${binary}.new`, "."], { cwd: folder });
  await rename(`${binary}.new`, binary);
  await rm(folder, { recursive: true, force: true });
  return binary;
}
