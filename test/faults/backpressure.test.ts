import assert from "node:assert/strict";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { pathToFileURL } from "node:url";
import type { Worker } from "@muster/worker";
import { Client } from "@muster/worker/client";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import type { TestScheduler } from "../support/programs/scheduler.ts";
import { ROOT } from "../support/repo/checks.ts";

/** Leases that a machine under load does not let run out. */
const KEEPING = ["--lease", "10", "--reconnect-grace", "10", "--accept-deadline", "10"];

/** Longest time until a pause is reported: a sample, a heartbeat and a poll of a busy machine. */
const BOUND_MS = 5_000;

describe("a worker pauses by itself", () => {
  let fleet: Fleet;
  let one: TestScheduler;
  let two: TestScheduler;
  let atOne: Client;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2, args: KEEPING });
    [one, two] = fleet.schedulers as [TestScheduler, TestScheduler];
    atOne = new Client({ scheduler: one.grpc });
  });

  after(async () => {
    atOne.close();
    await killAll();
    await fleet.stop();
  });

  function pressed(id: string, backpressure: object, probe?: string): Promise<Program> {
    return fleet.worker(id, {
      queue: id,
      file: "pressed.ts",
      scheduler: two.grpc,
      env: {
        BACKPRESSURE: JSON.stringify(backpressure),
        ...(probe === undefined ? {} : { PROBE: probe }),
      },
    });
  }

  it("the example of operations.md", async () => {
    const docs = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
    const [, section = ""] = docs.split("## Workers that pause by themselves");
    const code = /```ts\n([\s\S]+?)```/.exec(section)?.[1] ?? "";
    assert.match(code, /backpressure: \{/);
    // Beside the packages that it imports.
    const file = join(ROOT, "node_modules", `.muster-example-${process.pid}.mjs`);
    writeFileSync(file, stripTypeScriptTypes(code));
    try {
      const { worker }: { worker: Worker } = await import(pathToFileURL(file).href);
      assert.equal(worker.status, "new");
      await worker.stop();
    } finally {
      rmSync(file);
    }
  });

  it("F32: while a handler blocks its main loop, and goes on by itself", async () => {
    const worker = await pressed("blocked", { loopDelayMs: [400, 200] });
    await atOne.submit("block", { ms: 3_000 }, { queue: "blocked" });
    await fleet.workerReason("blocked", "PAUSED", BOUND_MS, {
      evidence: { pressure: /^loop_delay \d+(\.\d+)?, high 400, low 200, for .+$/ },
    });
    const waits = await atOne.submit("echo", 1, { queue: "blocked" });
    assert.equal(await waits.result(), 1);
    await worker.line("worker.resumed");
    assert.deepEqual(
      (await fleet.workerEvents("blocked"))
        .filter((name) => /^worker\.(paused|resumed)$/.test(name))
        .slice(0, 2),
      ["worker.paused", "worker.resumed"],
    );
  });

  it("F32: by its memory, with the value and both watermarks", async () => {
    const worker = await pressed("full", { memory: [0.001, 0.0005] });
    const line = await worker.line("worker.paused");
    assert.deepEqual([line.by, line.measure, line.high, line.low], ["pressure", "memory", 0.001, 0.0005]);
    const { id } = await atOne.submit("echo", 1, { queue: "full" });
    const { reason } = await fleet.taskReason(id, "WORKERS_PAUSED", BOUND_MS);
    assertReason(reason, {
      evidence: {
        paused: /^full: memory: \d+ % of [\d.]+ GiB in use \(pauses at 0 %, goes on at 0 %\)$/,
        pressure: /^full: memory 0\.\d+, high 0\.001, low 0\.0005, for .+$/,
      },
    });
    await fleet.client.handle(id).cancel();
  });

  it("F32: by its probe, across a killed scheduler; a broken probe does not keep it paused", async () => {
    const file = fleet.gate().path;
    writeFileSync(file, "no licence is free");
    const worker = await pressed("probed", { probeIntervalS: 0.1, probeTimeoutS: 0.5 }, file);
    const waits = await atOne.submit("echo", 2, { queue: "probed" });
    const shown = { evidence: { pause_reason: /^no licence is free$/, pressure: /^probe for .+$/ } };
    await fleet.workerReason("probed", "PAUSED", BOUND_MS, shown);
    const mark = worker.mark();
    await two.program.end("SIGKILL");
    two = await fleet.restart(two, KEEPING);
    await worker.line("worker.reconnected", () => true, { after: mark });
    await fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    assert.deepEqual(fleet.runs(waits.id), []);
    writeFileSync(file, "throw");
    const failed = await worker.line("worker.probe.failed", () => true, { after: mark });
    assert.equal(failed.error, "RangeError: no answer from the licence server");
    assert.equal(await waits.result(), 2, "the third failure ends the pause");
    writeFileSync(file, "no licence is free");
    await worker.line("worker.probe.recovered", () => true, { after: mark });
    const again = await atOne.submit("echo", 3, { queue: "probed" });
    await fleet.taskReason(again.id, "WORKERS_PAUSED", BOUND_MS);
    writeFileSync(file, "hang");
    assert.equal(await again.result(), 3, "a probe that hangs fails, too");
  });
});
