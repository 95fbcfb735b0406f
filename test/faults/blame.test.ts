import assert from "node:assert/strict";
import { kill } from "node:process";
import { after, before, describe, it } from "node:test";
import { TaskState } from "@muster/protocol";
import { TaskFailedError } from "@muster/worker/client";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { supervise } from "../support/programs/supervised.ts";
import { within } from "../support/waits.ts";

/** From a death to the next start alone: the wait after two deaths, and the restart of a process; generous. */
const ALONE_MS = 15_000;

describe("T24: a process dies with several attempts", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("T24: seven go on, and the one that leaves a rejected promise behind fails with its own cause", async () => {
    const queue = "named";
    const gate = fleet.gate();
    const start = fleet.gate();
    await supervise(fleet, queue, {
      args: ["--restart", "always", "--restart-delay", "100ms"],
      env: { SLOTS: "8" },
    });
    const innocent = await fleet.client.submitMany(
      Array.from({ length: 7 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    const culprit = await fleet.client.submit("leave", { gate: start.path }, { queue });
    for (const { id } of [...innocent, culprit]) await fleet.started(id);
    start.open();
    for (const { id } of innocent) await fleet.ran(id, 2);
    await fleet.taskReason(culprit.id, "RUNS_ALONE", ALONE_MS, { evidence: { process_deaths: /^[12]$/ } });
    gate.open();
    for (const handle of innocent) await handle.result();
    await assert.rejects(culprit.result(), TaskFailedError);
    for (const { id } of innocent) {
      const task = await fleet.task(id);
      assert.deepEqual([task.state, task.attemptCount, fleet.runs(id).length], [TaskState.SUCCEEDED, 1, 2]);
    }
    const task = await fleet.task(culprit.id);
    assert.deepEqual([task.detail, task.failure?.code], ["POISONED", "RANGE_ERROR"]);
    assert.match(
      task.failure?.message ?? "",
      /^left behind by the handler \(RangeError, .*ended the process of worker named/,
    );
    assert.equal(fleet.runs(culprit.id).length, 3);
    await fleet.taskReason(culprit.id, "POISONED", 0, {
      evidence: {
        killed_process_of: /^named$/,
        attempt: /^t-\d+\.1 on named: requeued:fatal/,
        last_error: /^RANGE_ERROR: left behind/,
      },
      commands: ["muster why named", `muster retry ${culprit.id}`],
    });
  });

  it("T24: of many tasks on three workers one kills every process, and only that one ends", async () => {
    const queue = "poisoned";
    for (const id of ["poisoned-1", "poisoned-2", "poisoned-3"]) {
      await supervise(fleet, id, {
        args: ["--restart", "always", "--restart-delay", "100ms"],
        env: { SLOTS: "3", QUEUES: queue },
      });
    }
    const poison = await fleet.client.submit("poison", {}, { queue, priority: 1 });
    const others = await fleet.client.submitMany(
      Array.from({ length: 40 }, () => ({ type: "sleep", payload: { ms: 300 }, queue })),
    );
    await assert.rejects(poison.result(), TaskFailedError);
    for (const handle of others) await handle.result();
    for (const { id } of others) {
      const task = await fleet.task(id);
      assert.deepEqual([task.state, task.attemptCount], [TaskState.SUCCEEDED, 1], id);
    }
    const task = await fleet.task(poison.id);
    assert.deepEqual([task.detail, fleet.runs(poison.id).length], ["POISONED", 3]);
    await fleet.taskReason(poison.id, "POISONED", 0, {
      evidence: {
        process_end:
          /^t-\d+\.\d+ at \d{4}-\S+Z on poisoned-\d: WORKER_LOST: .*killed by SIGKILL.*; last output: muster why poisoned-\d$/,
      },
    });
  });

  it("T24: killed twice with three attempts, each then runs alone, and none has paid", async () => {
    const queue = "unknown";
    const gate = fleet.gate();
    const victim = await supervise(fleet, queue, {
      args: ["--restart", "always", "--restart-delay", "100ms"],
      env: { SLOTS: "3" },
    });
    const handles = await fleet.client.submitMany(
      Array.from({ length: 3 }, () => ({ type: "gate", payload: { gate: gate.path }, queue })),
    );
    for (const round of [1, 2]) {
      for (const { id } of handles) await fleet.started(id, round);
      kill(victim.pid(), "SIGKILL");
    }
    const runs = () => handles.filter(({ id }) => fleet.runs(id).length === 3);
    await within("one of them runs again", ALONE_MS + G + L, () => (runs().length > 0 ? true : undefined));
    const waiting = handles.filter(({ id }) => fleet.runs(id).length < 3);
    assert.equal(waiting.length, 2);
    for (const { id } of waiting) {
      await fleet.taskReason(id, "RUNS_ALONE", 5 * H, { evidence: { process_deaths: /^2$/ } });
    }
    const beside = await fleet.client.submit("echo", 1, { queue });
    await fleet.taskReason(beside.id, "RUNS_ALONE", H);
    assert.equal(runs().length, 1);
    gate.open();
    for (const handle of handles) await handle.result();
    await beside.result();
    for (const { id } of handles) {
      const task = await fleet.task(id);
      assert.deepEqual([task.state, task.attemptCount], [TaskState.SUCCEEDED, 1]);
    }
  });
});
