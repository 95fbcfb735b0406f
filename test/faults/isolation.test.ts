import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { FailureClass } from "@muster/protocol";
import type { TaskHandle } from "@muster/worker/client";
import { Fleet } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { until } from "../support/waits.ts";

/** False for a process that has ended, also while it is a zombie. */
function runs(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    return !/^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
  } catch {
    return false;
  }
}

describe("T77: isolated handlers", { skip: process.platform !== "linux" }, () => {
  let fleet: Fleet;
  let worker: Program;

  before(async () => {
    fleet = await Fleet.start();
    worker = await fleet.worker("isolated", { queue: "isolated", file: "isolated.ts" });
  });
  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const submit = (type: string, payload: object = {}, options: object = {}) =>
    fleet.client.submit(type, payload, { queue: "isolated", retry: { retryTimeouts: false }, ...options });

  /** The process of an attempt that loops. */
  async function looping(task: TaskHandle<unknown>): Promise<number> {
    const { message } = await until("its progress", async () => {
      const { progress } = await fleet.task(task.id);
      return progress?.message ? progress : undefined;
    });
    return Number(message);
  }

  it("T77: an endless loop is killed at its hard timeout, and the worker and its other tasks go on", async () => {
    const task = await submit("loop", {}, { timeouts: { runS: 4 } });
    const pid = await looping(task);
    const neighbour = await submit("neighbour");
    assert.equal(await neighbour.result({ timeoutS: 60 }), worker.pid);
    assert.ok(runs(pid), "the loop goes on beside it");
    await assert.rejects(task.result({ timeoutS: 60 }));
    const { failure, state } = await fleet.task(task.id);
    assert.deepEqual(
      [failure?.code, failure?.failureClass],
      ["TIMED_OUT", FailureClass.TIMED_OUT],
      String(state),
    );
    assert.match(failure?.message ?? "", /took longer than 4 s.* was killed: it did not stop within 0.2 s/);
    assert.ok(!runs(pid));
    const lines: string[] = [];
    for await (const entry of task.logs()) if (entry.kind === "line") lines.push(entry.message);
    assert.ok(lines.includes("this loop has no end"), lines.join("\n"));
  });

  it("T77: a crash is the failure of its attempt, with the signal, and the next one finds its checkpoint", async () => {
    const task = await submit("crash", { signal: "SIGSEGV" }, { retry: { delaysS: [0] } });
    assert.deepEqual(await task.result({ timeoutS: 60 }), { page: 3 });
    const { attempts } = await fleet.task(task.id);
    const [first] = attempts.toSorted((a, b) => a.number - b.number);
    assert.deepEqual(
      [first?.failure?.code, first?.failure?.message],
      ["KILLED_BY_SIGSEGV", "The handler's process was ended by SIGSEGV"],
    );
    assert.equal(await (await submit("neighbour")).result({ timeoutS: 60 }), worker.pid);
  });

  it("T77: a cancelled loop is killed after the grace; a worker that is killed or drains leaves no process", async () => {
    const cancelled = await submit("loop");
    const first = await looping(cancelled);
    await cancelled.cancel("not needed");
    await until("no process runs", async () => (runs(first) ? undefined : true));
    await assert.rejects(cancelled.result({ timeoutS: 60 }), { name: "TaskCancelledError" });
    const [loop, idle] = [await submit("loop"), await submit("pid")];
    const pids = [await looping(loop), Number(await idle.result({ timeoutS: 60 }))];
    assert.deepEqual(pids.map(runs), [true, true]);
    worker.kill("SIGKILL");
    await worker.ended;
    await until("no process runs", async () => (pids.some(runs) ? undefined : true));
    const next = await fleet.worker("draining", { queue: "draining", file: "isolated.ts" });
    const kept = await fleet.client.submit("pid", {}, { queue: "draining" });
    const pid = Number(await kept.result({ timeoutS: 60 }));
    assert.ok(runs(pid), "it waits for the next attempt");
    assert.deepEqual(await next.end(), { code: 0, signal: null }, next.tail());
    assert.ok(!runs(pid));
  });
});
