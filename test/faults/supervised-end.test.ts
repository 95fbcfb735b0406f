import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { kill } from "node:process";
import { after, before, describe, it } from "node:test";
import { type Reason, WorkerState } from "@muster/protocol";
import { lost } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { makeCgroup } from "../support/programs/cgroup.ts";
import { killAll } from "../support/programs/program.ts";
import { supervise, workerCommand } from "../support/programs/supervised.ts";
import { within } from "../support/waits.ts";

/** Until the class with the further label is read and its tasks are looked at: a poll of a busy machine. */
const LABEL_MS = 5_000;

/** A machine under load may hold a heartbeat of 200 ms back for so long that the worker dials anew. */
const FROM_LOAD: ReadonlySet<string> = new Set(["worker.suspect", "worker.reconnected"]);

describe("a worker under muster run ends", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  const evidence = ({ evidence: facts }: Reason, wanted: string): string =>
    facts.find(({ key }) => key === wanted)?.value ?? "";

  it("F1: killed in a task, its signal is known and the task requeued at once", async () => {
    const gate = fleet.gate();
    const victim = await supervise(fleet, "end-killed");
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "end-killed" });
    await fleet.started(handle.id);
    await fleet.worker("end-killed-other", { queue: "end-killed" });
    kill(victim.pid(), "SIGKILL");
    const { explanation } = await fleet.workerReason("end-killed", "KILLED", 2 * H);
    assert.equal(explanation.state, "gone");
    // What it held is requeued, then counted.
    const { value: reason } = await within("what became of its task", 2 * H, async () => {
      const { reason: found } = await fleet.workerReason("end-killed", "KILLED", 0);
      return evidence(found, "requeued_attempts") === "1" ? found : undefined;
    });
    assert.equal(evidence(reason, "signal"), "SIGKILL");
    assert.match(evidence(reason, "log_tail"), /"worker_id":"end-killed"/);
    await fleet.eventually(handle.id, "requeued:stale", 0);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "end-killed-other", attempt: 2 });
    const { attempts } = await fleet.task(handle.id);
    assert.match(attempts[0]?.failure?.message ?? "", /was killed by SIGKILL, as its supervisor saw/);
    assert.deepEqual((await victim.supervisor.ended).code, 137);
    const { goneReason, launch } = await fleet.workerState("end-killed");
    assert.equal(goneReason, "killed");
    assert.equal(launch?.exit?.requeuedCount, 1);
    const events = await fleet.workerEvents("end-killed");
    const found = events.filter((name) => name !== "worker.startup.phase" && !FROM_LOAD.has(name));
    // The supervisor and the worker report the start independently: on a busy machine either is the first.
    assert.deepEqual(found.slice(0, 2).toSorted(), ["worker.launched", "worker.registered"]);
    assert.deepEqual(found.slice(2), ["worker.killed", "worker.gone"]);
    await fleet.scheduler.program.line("worker.killed", ({ signal }) => signal === "SIGKILL");
  });

  it("F13: an uncaught exception is FATAL with its traceback and exit code", async () => {
    const crasher = await supervise(fleet, "end-fatal");
    const handle = await fleet.client.submit("crash", null, { queue: "end-fatal" });
    await fleet.ran(handle.id);
    assert.equal((await crasher.supervisor.ended).code, 1);
    const { reason } = await fleet.workerReason("end-fatal", "FATAL", 2 * H);
    assert.equal(evidence(reason, "exception"), "TypeError: thrown outside of every handler");
    assert.match(evidence(reason, "traceback"), /basic\.ts/);
    assert.equal(evidence(reason, "exit_code"), "1");
    await fleet.eventually(handle.id, "requeued:fatal", 0);
  });

  it("F14: a full V8 heap is OOM_KILLED, and the task is retried on its memory budget", async () => {
    const command = workerCommand("memory.ts", ["--max-old-space-size=64"]);
    const args = ["--restart", "on-failure", "--restart-delay", "100ms"];
    const hoarder = await supervise(fleet, "end-heap", { command, args });
    const handle = await fleet.client.submit(
      "heap",
      { once: true },
      { queue: "end-heap", retry: { maxRetries: 0 } },
    );
    await hoarder.supervisor.line("task.received");
    const mark = hoarder.supervisor.mark();
    // V8 takes some seconds to fill and give up on its heap.
    const found = await within("the end", 15_000, () => hoarder.logged("launch.reported")[0]);
    assert.ok(found);
    const { launches } = await fleet.client.fleet.listLaunches({ workerId: "end-heap" });
    const exit = launches.at(-1)?.exit;
    assert.equal(exit?.reason, "oom_killed");
    assert.match(exit?.outOfMemoryEvidence ?? "", /heap out of memory/);
    assert.ok((await fleet.events(handle.id)).includes("requeued:oom_killed"));
    // No retry is allowed by the policy, and none is used up.
    assert.deepEqual(await handle.result(), { runs: 2 });
    await hoarder.supervisor.line("task.completed", () => true, { after: mark });
    const { attempts } = await fleet.task(handle.id);
    assert.equal(attempts[0]?.failure?.code, "OUT_OF_MEMORY");

    const doomed = await fleet.client.submit("heap", {}, { queue: "end-heap" });
    await assert.rejects(doomed.result(), /OUT_OF_MEMORY/);
    await fleet.taskReason(doomed.id, "RETRIES_EXHAUSTED", 0, {
      evidence: { attempt: /OUT_OF_MEMORY/, last_error: /ran out of memory/, worker: /^end-heap$/ },
      commands: [`muster retry ${doomed.id}`],
    });
    await hoarder.supervisor.end();

    // One that is not started again stays in the state of its end.
    const once = await supervise(fleet, "end-heap-once", { command });
    const retry = { onOutOfMemory: { labels: { memory: "large" } } };
    const last = await fleet.client.submit("heap", { once: true }, { queue: "end-heap-once", retry });
    await once.supervisor.ended;
    await fleet.workerReason("end-heap-once", "OOM_KILLED", 2 * H, {
      evidence: {
        out_of_memory: /heap out of memory/,
        log_tail: /heap out of memory/,
        command: /memory\.ts/,
      },
      commands: ["--max-old-space-size"],
    });

    // The policy asks for another kind of worker after it.
    const worker = { queue: "end-heap-once", file: "memory.ts" };
    await fleet.worker("end-heap-small", worker);
    await fleet.taskReason(last.id, "NO_WORKER_MATCHES_LABELS", LABEL_MS, {
      evidence: { label_added_after_out_of_memory: /^memory=large, by its retry policy$/ },
    });
    await fleet.worker("end-heap-large", { ...worker, env: { LABELS: '{"memory": "large"}' } });
    await last.result();
    const moved = await fleet.task(last.id);
    assert.deepEqual([moved.requirements?.labels, moved.attemptCount], [{ memory: "large" }, 1]);
    const { events } = await fleet.client.fleet.listEvents({ taskId: last.id });
    const requeued = events.find(({ name }) => name === "requeued:oom_killed");
    assert.equal(requeued?.attributes.labels_added, "memory=large");
  });

  it("F14: unsupervised, a full heap is LOST", async () => {
    const hoarder = await fleet.worker("end-heap-alone", {
      queue: "end-heap-alone",
      file: "memory.ts",
      env: { NODE_OPTIONS: "--max-old-space-size=64" },
    });
    const handle = await fleet.client.submit("heap", { once: true }, { queue: "end-heap-alone" });
    await hoarder.ended;
    await fleet.workerReason("end-heap-alone", "LOST", G + L + 2 * H, lost(hoarder, `${handle.id}.1`));
    await fleet.eventually(handle.id, "requeued:stale", 0);
  });

  const group = makeCgroup(256 * 1024 * 1024);
  it("F14: killed by the kernel for its cgroup's memory", {
    skip: typeof group === "string" && group,
  }, async () => {
    if (typeof group === "string") return;
    const command = group.within(workerCommand("memory.ts"));
    const hoarder = await supervise(fleet, "end-cgroup", { command });
    await fleet.client.submit("machine", {}, { queue: "end-cgroup" });
    await hoarder.supervisor.ended;
    group.remove();
    await fleet.workerReason("end-cgroup", "OOM_KILLED", 2 * H, {
      evidence: { out_of_memory: /^cgroup oom_kill 0 -> 1 in .*muster-test-/ },
    });
    assert.equal((await fleet.workerState("end-cgroup")).goneReason, "oom_killed");
  });

  it("SIGTERM is passed on: the worker drains and is finished", async () => {
    const gate = fleet.gate();
    const drained = await supervise(fleet, "end-drained");
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "end-drained" });
    await fleet.ran(handle.id);
    drained.supervisor.kill("SIGTERM");
    await fleet.workerReason("end-drained", "DRAINING", H);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "end-drained", attempt: 1 });
    assert.deepEqual(await drained.supervisor.ended, { code: 0, signal: null });
    await fleet.workerReason("end-drained", "EXITED", 2 * H, { evidence: { exit_code: /^0$/ } });
    assert.equal((await fleet.workerState("end-drained")).goneReason, "finished");
  });

  it("a process that ignores SIGTERM is killed with its group, and its task costs no attempt", async () => {
    const gate = fleet.gate();
    const pids = fleet.gate();
    // The shell is what is supervised; the worker is its child, and ignores SIGTERM because it drains.
    const command = [
      "sh",
      "-c",
      'trap "" TERM; "$@" & echo $! > "$PIDS"; wait; wait',
      "sh",
      ...workerCommand(),
    ];
    const stubborn = await supervise(fleet, "end-stubborn", {
      command,
      args: ["--stop-timeout", "500ms"],
      env: { PIDS: pids.path },
    });
    const handle = await fleet.client.submit(
      "gate",
      { gate: gate.path, deaf: true },
      { queue: "end-stubborn" },
    );
    await fleet.started(handle.id);
    stubborn.supervisor.kill("SIGTERM");
    assert.equal((await stubborn.supervisor.ended).code, 137);
    const worker = Number(readFileSync(pids.path, "utf8"));
    assert.ok(worker > 0 && !existsSync(`/proc/${worker}/cwd`), "the worker outlived its group");
    const { reason } = await fleet.workerReason("end-stubborn", "KILLED", 2 * H);
    assert.equal(evidence(reason, "stop_requested"), "true");
    await fleet.eventually(handle.id, "requeued:drain", 0);
    await fleet.worker("end-stubborn-other", { queue: "end-stubborn" });
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "end-stubborn-other", attempt: 1 });
  });

  it("what a wrapper leaves behind is stopped before its end is reported", async () => {
    const gate = fleet.gate();
    const wrapped = await supervise(fleet, "end-wrapped", {
      command: [
        "sh",
        "-c",
        '"$@" & until [ -e "$GATE" ]; do sleep 0.1; done; exit 7',
        "sh",
        ...workerCommand(),
      ],
      env: { GATE: gate.path },
    });
    gate.open();
    assert.equal((await wrapped.supervisor.ended).code, 7);
    assert.ok(
      wrapped.supervisor.lines.some(({ event }) => event === "worker.signal" || event === "worker.stopped"),
    );
    const { state } = await fleet.workerState("end-wrapped");
    assert.equal(state, WorkerState.GONE);
  });
});
