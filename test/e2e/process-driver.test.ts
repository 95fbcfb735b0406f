import assert from "node:assert/strict";
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { env, execPath, kill } from "node:process";
import { after, describe, it } from "node:test";
import { create } from "@bufbuild/protobuf";
import { LaunchTemplateSchema } from "@muster/protocol";
import { systemClock } from "../../launcher/src/clock.ts";
import type { LaunchOrder, ObservedLaunch } from "../../launcher/src/driver.ts";
import { LaunchFolder, lives } from "../../launcher/src/process/launch-folder.ts";
import { ProcessDriver } from "../../launcher/src/process/process-driver.ts";
import { until } from "../support/waits.ts";

describe("the driver of processes", () => {
  const root = mkdtempSync(join(tmpdir(), "muster-driver-"));
  const folder = join(root, "process");
  const marks = join(root, "marks");
  appendFileSync(marks, "");

  // No scheduler: what a driver sees does not depend on one.
  const driver = () =>
    new ProcessDriver({ folder, env: { ...env, MUSTER_SCHEDULER_ADDR: "127.0.0.1:1" }, clock: systemClock });

  after(() => {
    for (const launchId of ["one", "deaf", "alone", "ends"]) {
      const { supervisor, worker } = new LaunchFolder(join(folder, launchId));
      for (const identity of [supervisor, worker]) if (lives(identity)) kill(identity?.pid ?? 0, "SIGKILL");
    }
    rmSync(root, { recursive: true, force: true });
  });

  const order = (launchId: string, script: string): LaunchOrder => ({
    ...{
      launchId,
      pool: "p",
      workerId: launchId,
      secretNames: [],
      secretSources: [],
      startupTimeoutMs: 60_000,
    },
    engine: create(LaunchTemplateSchema, { driver: { case: "process", value: {} } }).driver,
    command: [
      execPath,
      "-e",
      `require("node:fs").appendFileSync(${JSON.stringify(marks)}, "${launchId}\\n"); ${script}`,
    ],
    env: { PATH: env.PATH ?? "" },
  });

  const STAYS = "setInterval(() => undefined, 1_000)";
  const DEAF = `process.on("SIGTERM", () => undefined); ${STAYS}`;
  const started = (launchId: string) =>
    readFileSync(marks, "utf8")
      .split("\n")
      .filter((line) => line === launchId).length;

  const observed = (launchId: string, phase: ObservedLaunch["phase"]) =>
    until(`${launchId} is ${phase}`, async () =>
      (await driver().list()).find((each) => each.launchId === launchId && each.phase === phase),
    );

  it("starts one process for an id, whoever asks and how often, and knows it after a restart", async () => {
    const [first, second] = [driver(), driver()];
    await Promise.all([first, second, first].map((each) => each.launch(order("one", STAYS))));
    await until("it has started", () => started("one") > 0 || undefined);
    await driver().launch(order("one", STAYS));
    await observed("one", "running");
    await second.stop("one", { graceMs: 10_000 });
    const { signal, reason } = await observed("one", "ended");
    assert.deepEqual([signal, reason], ["SIGTERM", ""]);
    await first.launch(order("one", STAYS));
    assert.equal(started("one"), 1, "an ended launch is not started again");
    await first.forget("one");
    assert.ok(!existsSync(join(folder, "one")));
  });

  it("starts nothing for an id that was stopped before", async () => {
    const both = driver();
    await both.stop("unknown", { graceMs: 0 });
    assert.equal((await observed("unknown", "ended")).reason, "NotFound");
    await both.launch(order("unknown", STAYS));
    assert.equal(started("unknown"), 0);
  });

  it("kills a process that ignores the request to end", async () => {
    const one = driver();
    const events = one.events()[Symbol.asyncIterator]();
    await one.launch(order("deaf", DEAF));
    await until("it has started", () => started("deaf") > 0 || undefined);
    await one.stop("deaf", { graceMs: 0 });
    // The driver enforces the grace while its events are read.
    for (;;) {
      const { value } = await events.next();
      if (value?.launchId === "deaf" && value.phase === "ended") {
        assert.equal(value.signal, "SIGKILL");
        break;
      }
    }
    await one.close();
  });

  it("ends a process whose supervisor was killed, and says that its exit is not known", async () => {
    const one = driver();
    await one.launch(order("alone", STAYS));
    await until("it has started", () => started("alone") > 0 || undefined);
    const { supervisor, worker } = new LaunchFolder(join(folder, "alone"));
    await until("its pid is known", () => new LaunchFolder(join(folder, "alone")).worker);
    kill(supervisor?.pid ?? 0, "SIGKILL");
    const orphan = await until("its supervisor is gone", async () =>
      (await one.list()).find(({ launchId, reason }) => launchId === "alone" && reason === "SupervisorEnded"),
    );
    assert.equal(orphan.phase, "running");
    await one.stop("alone", { graceMs: 10_000 });
    assert.equal((await observed("alone", "ended")).exitCode, undefined);
    assert.ok(!lives(worker));
  });

  it("reports exit code and last output", async () => {
    await driver().launch(order("ends", "console.log('no such model'); process.exitCode = 4"));
    const { exitCode, logTail } = await observed("ends", "ended");
    assert.deepEqual([exitCode, logTail], [4, "no such model\n"]);
  });
});
