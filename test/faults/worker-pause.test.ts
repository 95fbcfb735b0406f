import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { SchedulerPair } from "../support/fleet/scheduler-pair.ts";
import { FaultProxy } from "../support/peers/fault-proxy.ts";
import { runMuster } from "../support/programs/run-muster.ts";
import { ROOT } from "../support/repo/checks.ts";
import { until } from "../support/waits.ts";

/** Leases that a machine under load does not let run out. */
const KEEPING = ["--lease", "10", "--reconnect-grace", "10", "--accept-deadline", "10"];

/** Longest time until a pause is reported: a poll and a heartbeat of a busy machine. */
const BOUND_MS = 5_000;

describe("an operator pauses a worker", () => {
  let pair: SchedulerPair;

  before(async () => {
    pair = await SchedulerPair.start(KEEPING);
  });

  after(() => pair.stop());

  it("the commands of operations.md", async () => {
    await pair.fleet.worker("gpu-7", { queue: "gpu-7" });
    const docs = readFileSync(join(ROOT, "docs/operations.md"), "utf8");
    const commands = [...docs.matchAll(/^\$ muster (worker (?:pause|resume) .+|why gpu-7)$/gm)].map(
      ([, command = ""]) => command.match(/"[^"]*"|\S+/g)?.map((word) => word.replaceAll('"', "")) ?? [],
    );
    assert.equal(commands.length, 3);
    const said: string[] = [];
    for (const command of commands) {
      const { code, stdout, stderr } = await runMuster(pair.one.grpc, command);
      assert.equal(code, 0, stderr);
      said.push(stdout);
    }
    const user = userInfo().username;
    assert.equal(said[0], "gpu-7 is paused; it holds 0 attempts\n");
    assert.match(
      said[1] ?? "",
      new RegExp(`PAUSED.+\\n {2}an operator paused it .+: replacing the fan \\(by ${user}\\)`),
    );
    assert.equal(said[2], "gpu-7 is resumed\n");
  });

  it("F31: it is assigned nothing, through the other scheduler too, until it is resumed", async () => {
    const gate = pair.fleet.gate();
    const worker = await pair.fleet.worker("paused-1", { queue: "paused-1", scheduler: pair.two.grpc });
    const held = await pair.atOne.submit("gate", { gate: gate.path }, { queue: "paused-1" });
    await pair.fleet.ran(held.id);
    await pair.atOne.fleet.pauseWorker({ workerId: "paused-1", reason: "new driver (by ada)" });
    const line = await worker.line("worker.paused");
    assert.deepEqual([line.by, line.reason], ["operator", "new driver (by ada)"]);
    const waits = await pair.atOne.submit("echo", 1, { queue: "paused-1" });
    const { reason } = await pair.fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    assertReason(reason, {
      evidence: { paused_by_operator: /^paused-1: new driver \(by ada\), .+ ago$/ },
      commands: ["worker resume paused-1"],
    });
    await pair.fleet.workerReason("paused-1", "PAUSED", BOUND_MS, {
      evidence: { operator_pause: /^new driver \(by ada\)$/ },
      commands: ["worker resume paused-1"],
    });
    const shown = await pair.fleet.workerState("paused-1");
    assert.deepEqual([shown.paused, shown.operatorPause?.reason], [true, "new driver (by ada)"]);
    gate.open();
    assert.deepEqual(await held.result(), { worker: "paused-1", attempt: 1 }, "what it holds continues");
    assert.deepEqual(pair.fleet.runs(waits.id), []);
    await pair.atOne.fleet.resumeWorker({ workerId: "paused-1", reason: "done (by ada)" });
    assert.equal(await waits.result(), 1);
    assert.deepEqual(
      (await pair.fleet.workerEvents("paused-1")).filter((name) => /^worker\.(paused|resumed)$/.test(name)),
      ["worker.paused", "worker.resumed"],
    );
  });

  it("F31: it stays paused when it reconnects, moves and its scheduler is killed; a resume meanwhile counts", async () => {
    await using proxy = await FaultProxy.start(pair.one.grpc);
    const worker = await pair.fleet.worker("paused-2", { queue: "paused-2", scheduler: proxy.address });
    await pair.atOne.fleet.pauseWorker({ workerId: "paused-2", reason: "broken fan" });
    await worker.line("worker.paused");
    const waits = await pair.atTwo.submit("echo", 2, { queue: "paused-2" });
    let mark = worker.mark();
    proxy.retarget(pair.two.grpc);
    proxy.cut();
    await worker.line("worker.reconnected", () => true, { after: mark });
    await pair.fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    mark = worker.mark();
    await pair.two.program.end("SIGKILL");
    await pair.fleet.restart(pair.two, KEEPING);
    await worker.line("worker.reconnected", () => true, { after: mark });
    await pair.fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    assert.deepEqual(pair.fleet.runs(waits.id), []);
    mark = worker.mark();
    await pair.two.program.end("SIGKILL");
    await pair.atOne.fleet.resumeWorker({ workerId: "paused-2", reason: "repaired" });
    await pair.fleet.restart(pair.two, KEEPING);
    await worker.line("worker.resumed", () => true, { after: mark });
    assert.equal(await waits.result(), 2);
    assert.equal(pair.fleet.runs(waits.id).length, 1);
    // Without the proxy its last heartbeat would remain what is known of it.
    worker.kill("SIGTERM");
    await worker.ended;
  });

  it("F31: the next process of the worker id is paused before it is given anything", async () => {
    const first = await pair.fleet.worker("paused-3", { queue: "paused-3" });
    await pair.atOne.fleet.pauseWorker({ workerId: "paused-3", reason: "until tomorrow" });
    first.kill("SIGTERM");
    await first.ended;
    await pair.fleet.workerReason("paused-3", "EXITED", BOUND_MS);
    await assert.rejects(pair.atOne.fleet.pauseWorker({ workerId: "paused-3" }), /WORKER_GONE|already ended/);
    const waits = await pair.atOne.submit("echo", 3, { queue: "paused-3" });
    await pair.fleet.worker("paused-3", { queue: "paused-3", scheduler: pair.two.grpc });
    await pair.fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    await pair.atOne.fleet.resumeWorker({ workerId: "paused-3" });
    assert.equal(await waits.result(), 3);
    assert.equal(pair.fleet.runs(waits.id).length, 1);
  });

  it("F31: paused by an operator and by itself, it says both and takes tasks when both have ended", async () => {
    const worker = await pair.fleet.worker("paused-4", { queue: "paused-4", file: "loader.ts" });
    worker.kill("SIGHUP");
    await worker.line("worker.paused");
    await pair.atTwo.fleet.pauseWorker({ workerId: "paused-4", reason: "new driver" });
    await worker.line("worker.paused", ({ by }) => by === "operator");
    const both = await until("both are said", async () => {
      const { explanation } = await pair.atOne.fleet.explainWorker({ workerId: "paused-4" });
      const reasons = explanation?.reasons.filter(({ code }) => code === "PAUSED") ?? [];
      return reasons.length === 2 ? reasons : undefined;
    });
    assert.match(both[0]?.summary ?? "", /^an operator paused it .+: new driver/);
    assert.match(both[1]?.summary ?? "", /^it asks for no new work: memory: 97 % used/);
    const waits = await pair.atOne.submit("llm", {}, { queue: "paused-4" });
    await pair.atOne.fleet.resumeWorker({ workerId: "paused-4" });
    await worker.line("worker.resumed", ({ by }) => by === "operator");
    const { reason } = await pair.fleet.taskReason(waits.id, "WORKERS_PAUSED", BOUND_MS);
    assertReason(reason, { evidence: { paused: /^paused-4: memory: 97 % used$/ } });
    worker.kill("SIGHUP");
    assert.deepEqual(await waits.result(), { worker: "paused-4" });
  });
});
