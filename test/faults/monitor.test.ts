import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { Reason } from "@muster/protocol";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll, type LogLine } from "../support/programs/program.ts";
import { within } from "../support/waits.ts";

const TASKS = 200;

describe("what the logs say of a night", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ schedulers: 2 });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("F27: 200 tasks for three workers: every scheduler's line has the whole truth", async () => {
    const gate = fleet.gate();
    const [one, two] = fleet.schedulers;
    assert.ok(one && two);
    const labels = [{ gpus: "2" }, { gpu: "a100" }, { zone: "eu" }];
    await Promise.all(
      labels.map((label, index) =>
        fleet.worker(`f27-${index}`, {
          queue: "f27",
          slots: 1,
          scheduler: index === 0 ? one.grpc : two.grpc,
          env: { LABELS: JSON.stringify(label) },
        }),
      ),
    );
    const marks = fleet.schedulers.map(({ program }) => program.mark());
    const handles = await fleet.client.submitMany(
      Array.from({ length: TASKS }, () => ({ type: "gate", queue: "f27", payload: { gate: gate.path } })),
    );
    const submitted = await one.program.line("tasks.submitted", () => true, { after: marks[0] ?? 0 });
    assert.deepEqual([submitted.count, submitted.task_type, submitted.queue], [TASKS, "gate", "f27"]);
    for (const [index, { program }] of fleet.schedulers.entries()) {
      const after = marks[index] ?? 0;
      const { line } = await program.line(
        "monitor",
        (entry) => entry.processing === 3 && entry.gpus_busy === 3 && entry.workers_ready === 3,
        {
          after,
        },
      );
      assert.equal(
        line,
        "MONITOR: GPUs: 3/3, Workers: 3/3, Queue: 197, Processing: 3, Stuck: 0 | queued gate:197",
      );
    }
    const queued = await waiting(handles[TASKS - 1]?.id ?? "");
    assertReason(queued, {
      evidence: { busy_with: /^t-\d+\.1 \(gate\) on f27-\d for /, workers_looked_at: /^3$/ },
      commands: ["WORKER_MAX_CONCURRENCY", "muster why t-"],
    });
    gate.open();
    await Promise.all(handles.map((handle) => handle.result()));
    assert.equal(
      new Set(handles.flatMap(({ id }) => fleet.runs(id).map(({ attemptId }) => attemptId))).size,
      TASKS,
    );
    const done = await one.program.line(
      "monitor",
      (entry) => entry.processing === 0 && entry.gpus_busy === 0 && entry.workers_ready === 3,
      {
        after: one.program.mark(),
      },
    );
    assert.match(
      String(done.line),
      /^MONITOR: GPUs: 0\/3, Workers: 3\/3, Queue: 0, Processing: 0, Stuck: 0( \| completed in 5 min gate:\d+)?$/,
    );
    for (const { program } of fleet.schedulers)
      await program.line("monitor", ({ completed_5min_by_type: types }) => Object(types).gate === TASKS, {
        after: program.mark(),
      });
  });

  /** Why the task waits, once the heartbeats of all three list their attempts. */
  async function waiting(taskId: string): Promise<Reason> {
    const { value } = await within("three are known to be busy", 2 * H, async () => {
      const { reason } = await fleet.taskReason(taskId, "ALL_SLOTS_BUSY", 0);
      return reason.evidence.filter(({ key }) => key === "busy_with").length === 3 ? reason : undefined;
    });
    return value;
  }

  it("a worker that crashes in a task says why and what it had done; the scheduler says the same", async () => {
    const worker = await fleet.worker("night-crash", { queue: "night-crash" });
    for (const text of ["a", "b", "c"]) {
      await (await fleet.client.submit("echo", text, { queue: "night-crash" })).result();
    }
    const handle = await fleet.client.submit("crash", null, { queue: "night-crash" });
    const fatal = await worker.line("worker.fatal");
    assert.equal(fatal.exception_class, "TypeError");
    assert.match(String(fatal.traceback), /basic\.ts/);
    const stopped = await worker.line("worker.stopped");
    assert.equal(stopped.tasks_completed, 3);
    assert.match(String(stopped.msg), /completed 3 tasks/);
    const log = fleet.scheduler.program;
    await log.line("worker.fatal", ({ worker_id }) => worker_id === "night-crash");
    const requeued = await log.line("task.requeued", ({ attempt_id }) => attempt_id === `${handle.id}.1`);
    assert.equal(requeued.reason, "fatal");
    assert.equal(requeued.costs_attempt, true);
  });

  it("a worker that dies in a task is missed with the numbers that decide, and so is what it held", async () => {
    const gate = fleet.gate();
    const victim = await fleet.worker("night-killed", { queue: "night-killed" });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "night-killed" });
    await fleet.started(handle.id);
    await victim.end("SIGKILL");
    const log = fleet.scheduler.program;
    const ofVictim = ({ worker_id }: LogLine) => worker_id === "night-killed";
    const suspect = await log.line("worker.suspect", ofVictim);
    assert.equal(suspect.attempts, 1);
    assert.equal(suspect.grace_ms, G);
    assert.ok(Number(suspect.last_beat_ms_ago) >= 0);
    // Either scheduler may notice that the grace is over.
    const { value: lost } = await within("worker.lost in a log", G + L, () =>
      fleet.schedulers
        .flatMap(({ program }) => program.lines)
        .find((line) => line.event === "worker.lost" && ofVictim(line)),
    );
    assert.deepEqual(lost.attempts, [`${handle.id}.1`]);
    assert.equal(lost.lease_ms, L);
    assert.ok(Number(lost.silent_ms) >= G, String(lost.silent_ms));
    await fleet.worker("night-other", { queue: "night-killed" });
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "night-other", attempt: 2 });
  });

  it("a worker that is asked to stop logs that it did, and every line of its start has the same facts", async () => {
    const worker = await fleet.worker("night-stop", { queue: "night-stop" });
    await (await fleet.client.submit("echo", 1, { queue: "night-stop" })).result();
    assert.equal((await worker.end()).code, 0);
    const stopped = await worker.line("worker.stopped");
    assert.equal(stopped.tasks_completed, 1);
    const starts = worker.lines.filter(
      ({ event }) => event === "worker.started" || event === "worker.startup.phase",
    );
    assert.ok(starts.length >= 5);
    for (const line of starts) {
      for (const field of ["worker_id", "scheduler_addr", "pid", "uid", "gid", "cwd", "elapsed_ms"])
        assert.ok(line[field] !== undefined, `${line.event} lacks ${field}`);
      assert.match(String(line.time), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/);
    }
  });
});
