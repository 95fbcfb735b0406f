import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Client } from "@muster/worker/client";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { type Supervised, supervise } from "../support/programs/supervised.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until, within } from "../support/waits.ts";

/** A supervisor whose reports do not wait would report every 16 s. */
const LONG_LEASE = ["--lease", "60", "--reconnect-grace", "60", "--accept-deadline", "10"];

/** `--poll-interval`: a request arrives no later, also when the notification is lost. */
const POLL_MS = 1_000;

describe("an operator kills a worker", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(LONG_LEASE);
  });

  after(() => pair.stop());

  const always = (...args: string[]) => ["--restart", "always", "--restart-delay", "1h", ...args];
  const received = (supervised: Supervised) => supervised.logged("launch.stopping");
  const reasonAt = (client: Client, workerId: string, code: string) =>
    until(`${workerId} is ${code}`, async () => {
      const { explanation } = await client.fleet.explainWorker({ workerId });
      return explanation?.reasons.find((reason) => reason.code === code);
    });
  const exitOf = async (client: Client, workerId: string) =>
    (await client.fleet.getWorker({ workerId })).worker?.launch?.exit;

  it("the command of supervised-runs.md", async () => {
    const gpu = await supervise(pair.fleet, "gpu-7", { args: always() });
    const docs = readFileSync(join(ROOT, "docs/supervised-runs.md"), "utf8");
    const [, command = ""] = docs.match(/^\$ muster (worker kill .+)$/m) ?? [];
    const words = command.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [];
    const { code, stdout, stderr } = await runMuster(pair.two.grpc, words);
    assert.equal(code, 0, stderr);
    const reason = `hangs in the driver (by ${userInfo().username})`;
    assert.equal(stdout, `gpu-7 has ended: finished: exit code 0; kill asked for: ${reason}\n`);
    assert.deepEqual(await gpu.supervisor.ended, { code: 0, signal: null }, "it was not started again");
    assertReason(await reasonAt(pair.atOne, "gpu-7", "EXITED"), { evidence: { kill_reason: /^hangs in/ } });
    const launches = await runMuster(pair.one.grpc, ["launches", "--worker", "gpu-7"]);
    assert.ok(launches.stdout.includes(`kill asked for: ${reason}`), launches.stdout);
    const again = await runMuster(pair.one.grpc, words);
    assert.match(again.stderr, /worker gpu-7 has already ended \(finished\)/);
  });

  it("its supervisor receives it within a poll from either scheduler; a repeated one brings SIGKILL forward", async () => {
    const gate = pair.fleet.gate();
    const deaf = await supervise(pair.fleet, "kill-again", { args: always(), scheduler: pair.one.grpc });
    const task = await pair.atOne.submit("gate", { gate: gate.path, deaf: true }, { queue: "kill-again" });
    await pair.fleet.started(task.id);
    const kill = { workerId: "kill-again", grace: durationFromMs(3_600_000) };
    await pair.atTwo.fleet.killWorker({ ...kill, reason: "first (by ada)" });
    await within("it is received", POLL_MS, () => received(deaf)[0]);
    await reasonAt(pair.atTwo, "kill-again", "DRAINING");
    await pair.atOne.fleet.killWorker({ ...kill, reason: "second (by ada)" });
    await within("the second is received", POLL_MS, () => received(deaf)[1]);
    assertReason(await reasonAt(pair.atTwo, "kill-again", "KILL_REQUESTED"), {
      evidence: { kill_reason: /^second \(by ada\)$/, grace: /^SIGKILL 60 min after SIGTERM$/ },
    });
    const { worker } = await pair.atTwo.fleet.killWorker({
      ...{ workerId: "kill-again", reason: "third (by ada)" },
      ...{ grace: durationFromMs(0), restart: true },
    });
    assert.deepEqual([worker?.launch?.stop?.number, worker?.launch?.stop?.restart], [3, true]);
    await within("SIGKILL", POLL_MS, () => deaf.logged("launch.ended")[0]);
    gate.open();
    assert.deepEqual(await task.result(), { worker: "kill-again", attempt: 1 }, "it was started again");
    const { launches } = await pair.atOne.fleet.listLaunches({ workerId: "kill-again" });
    assert.deepEqual(
      launches.map(({ exit }) => [exit?.reason, exit?.signal, exit?.killReason]),
      [
        [undefined, undefined, undefined],
        ["finished", "SIGKILL", "third (by ada)"],
      ],
    );
    const stopped = deaf.supervisor.ended;
    deaf.supervisor.kill("SIGTERM");
    assert.equal((await stopped).code, 0);
  });

  it("T62: the scheduler that took the call is killed before its supervisor has reported", async () => {
    const gate = pair.fleet.gate();
    await using way = await FaultProxy.start(pair.two.grpc);
    const deaf = await supervise(pair.fleet, "kill-far", {
      ...{ args: always(), scheduler: way.address, workerScheduler: pair.two.grpc },
    });
    const task = await pair.atTwo.submit("gate", { gate: gate.path, deaf: true }, { queue: "kill-far" });
    await pair.fleet.started(task.id);
    way.refuse();
    await until("its supervisor reaches no scheduler", () => deaf.logged("launch.report.failed")[0]);
    const kill = { workerId: "kill-far", reason: "hangs (by ada)", grace: durationFromMs(200) };
    await pair.atOne.fleet.killWorker(kill);
    await pair.one.program.end("SIGKILL");
    assertReason(await reasonAt(pair.atTwo, "kill-far", "KILL_REQUESTED"), {
      evidence: { kill_reason: /^hangs \(by ada\)$/, process: new RegExp(`^pid ${deaf.pid()} on `) },
    });
    assert.equal(received(deaf).length, 0);
    way.heal();
    assert.equal((await deaf.supervisor.ended).code, 137, "SIGKILL, and not started again");
    assert.equal(received(deaf)[0]?.reason, "hangs (by ada)");
    const exit = await exitOf(pair.atTwo, "kill-far");
    assert.deepEqual(
      [exit?.reason, exit?.signal, exit?.stopRequested, exit?.killReason, exit?.restartTime],
      ["finished", "SIGKILL", true, "hangs (by ada)", undefined],
    );
    assertReason(await reasonAt(pair.atTwo, "kill-far", "KILLED"), {
      evidence: { kill_reason: /^hangs \(by ada\)$/, signal: /^SIGKILL$/ },
    });
    const { events } = await pair.atTwo.fleet.listEvents({ taskId: task.id });
    assert.ok(events.some(({ name }) => name === "requeued:drain"));
    await pair.fleet.worker("kill-near", { queue: "kill-far", scheduler: pair.two.grpc });
    gate.open();
    assert.deepEqual(await task.result(), { worker: "kill-near", attempt: 1 });
    const seen = (await pair.atTwo.fleet.listEvents({ workerId: "kill-far" })).events;
    const request = seen.find(({ name }) => name === "worker.kill_requested");
    assert.deepEqual([request?.attributes.reason, request?.attributes.grace_ms], ["hangs (by ada)", "200"]);
    await pair.fleet.restart(pair.one, LONG_LEASE);
  });
});
