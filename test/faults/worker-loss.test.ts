import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { WorkerState } from "@muster/protocol";
import { factOf, holderSuspect, lost, suspect } from "../support/fleet/expected-reasons.ts";
import { Fleet, G, H, L } from "../support/fleet/fleet.ts";
import { killAll } from "../support/programs/program.ts";
import { FAST } from "../support/programs/scheduler.ts";
import { until } from "../support/waits.ts";

describe("a worker is lost or silent", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start();
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("F1: killed in a task, it is lost and the task finishes elsewhere, once", async () => {
    const gate = fleet.gate();
    const victim = await fleet.worker("f1-victim", { queue: "f1" });
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "f1" });
    await fleet.started(handle.id);
    await fleet.worker("f1-other", { queue: "f1" });
    await victim.end("SIGKILL");
    await fleet.workerReason("f1-victim", "LOST", G + L + 2 * H, lost(victim, `${handle.id}.1`));
    await fleet.eventually(handle.id, "requeued:stale", 0);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f1-other", attempt: 2 });
    assert.deepEqual(
      fleet.runs(handle.id).map(({ workerId }) => workerId),
      ["f1-victim", "f1-other"],
    );
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:stale"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
    const { attempts } = await fleet.task(handle.id);
    assert.equal(attempts[0]?.outcome, "requeued:stale");
    assert.equal(attempts[0]?.failure?.code, "WORKER_LOST");
  });

  it("F1: every task of a killed worker is recovered", async () => {
    const gate = fleet.gate();
    const victim = await fleet.worker("f1-many", { queue: "f1-many", slots: 8, env: { PREFETCH: "4" } });
    const handles = await fleet.client.submitMany(
      Array.from({ length: 20 }, () => ({ type: "gate", payload: { gate: gate.path }, queue: "f1-many" })),
    );
    await until("eight runs", () =>
      handles.filter(({ id }) => fleet.runs(id).length === 1).length === 8 ? true : undefined,
    );
    await victim.end("SIGKILL");
    gate.open();
    await fleet.worker("f1-many-2", { queue: "f1-many", slots: 8 });
    for (const handle of handles) {
      assert.equal(Object(await handle.result()).worker, "f1-many-2");
      const events = await fleet.events(handle.id);
      assert.equal(events.filter((name) => name === "succeeded").length, 1);
    }
    const reruns = handles.filter(({ id }) => fleet.runs(id).length === 2).length;
    assert.equal(reruns, 8, "only what had begun at the victim runs twice");
  });

  it("F2: stopped beyond its lease, its late result is fenced", async () => {
    const gate = fleet.gate();
    const sleeper = await fleet.worker("f2-sleeper", { queue: "f2" });
    const handle = await fleet.client.submit("gate", { gate: gate.path, deaf: true }, { queue: "f2" });
    await fleet.started(handle.id);
    await fleet.worker("f2-other", { queue: "f2" });
    sleeper.kill("SIGSTOP");
    await fleet.workerReason("f2-sleeper", "SUSPECT", L + H, suspect(sleeper));
    await fleet.taskReason(handle.id, "WORKER_SUSPECT", 0, holderSuspect("f2-sleeper"));
    await fleet.workerReason("f2-sleeper", "LOST", G + 2 * H, lost(sleeper, `${handle.id}.1`));
    await fleet.ran(handle.id, 2);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f2-other", attempt: 2 });
    const mark = sleeper.mark();
    sleeper.kill("SIGCONT");
    // Its handler returns at once and its result, or its claim to the attempt, is refused.
    await until("the sleeper's attempt is refused", () =>
      sleeper.lines
        .slice(mark)
        .find(
          ({ event }) =>
            event === "task.revoked" || event === "task.result.refused" || event === "worker.result.dropped",
        ),
    );
    await sleeper.line("worker.reconnected", () => true, { after: mark });
    assert.deepEqual(await handle.result(), { worker: "f2-other", attempt: 2 });
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:stale"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
    await fleet.workerReason("f2-sleeper", "IDLE_NO_WORK", 2 * H);
    await fleet.taskReason(handle.id, "SUCCEEDED", 0, {
      evidence: { attempt: /^t-\d+\.1 on f2-sleeper: requeued:stale \(WORKER_LOST: /, worker: /^f2-other$/ },
    });
  });

  it("F3: a blocked main loop is distinguished from a dead process, and the task keeps its attempt", async () => {
    const blocked = await fleet.worker("f3-blocked", { queue: "f3", slots: 1 });
    const gate = fleet.gate();
    const handle = await fleet.client.submit("block", { gate: gate.path }, { queue: "f3" });
    await fleet.ran(handle.id);
    // A loop counts as blocked after 1 s, or a busy one would.
    await fleet.workerReason("f3-blocked", "LOOP_BLOCKED", 1_000 + 3 * H, {
      evidence: {
        event_loop_age_ms: /^\d{4,5}$/,
        attempt: new RegExp(`^${handle.id}\\.1 in inference for `),
        process: new RegExp(`^pid ${blocked.pid} on `),
      },
    });
    await fleet.taskReason(handle.id, "LOOP_BLOCKED", 3 * H, {
      evidence: {
        event_loop_age_ms: /^\d{4,5}$/,
        phase: /^inference for [\d.]+ m?s$/,
        worker: /^f3-blocked$/,
        attempt: new RegExp(`^${handle.id}\\.1$`),
        last_beat: /^\d{4}-.+Z$/,
        process: new RegExp(`^pid ${blocked.pid} on `),
      },
    });
    await until("the stack of the blocked loop has come", async () => {
      const { reason } = await fleet.taskReason(handle.id, "LOOP_BLOCKED", 0);
      const stack = reason.evidence.find(({ key }) => key === "blocked_at");
      return stack && /existsSync|block|\.js:\d+:\d+\)/.test(stack.value) ? true : undefined;
    });
    await until("it is blocked for longer than lease and grace", async () => {
      const { reason } = await fleet.taskReason(handle.id, "LOOP_BLOCKED", 0);
      return Number(factOf(reason, "event_loop_age_ms")) > 2 * (L + G) || undefined;
    });
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f3-blocked" });
    assert.equal(fleet.runs(handle.id).length, 1);
    assert.deepEqual(
      (await fleet.events(handle.id)).filter((name) => !name.startsWith("task.")),
      [...["created", "assigned", "accepted", "started", "succeeded"]],
    );
    const events = await fleet.workerEvents("f3-blocked");
    assert.ok(!events.includes("worker.suspect") && !events.includes("worker.lost"), events.join());
  });

  it("F13: an uncaught exception is reported with its traceback and the task requeued at once", async () => {
    const crasher = await fleet.worker("f13-crasher", { queue: "f13" });
    const handle = await fleet.client.submit("crash", null, { queue: "f13" });
    await fleet.ran(handle.id);
    await crasher.line("worker.fatal");
    await fleet.workerReason("f13-crasher", "FATAL", 2 * H, {
      evidence: {
        exception: /^TypeError: thrown outside of every handler$/,
        traceback: /basic\.ts/,
        process: new RegExp(`^pid ${crasher.pid} on `),
        held: new RegExp(`^${handle.id}\\.1$`),
      },
    });
    await fleet.eventually(handle.id, "requeued:fatal", 2 * H);
    assert.equal((await crasher.ended).code, 1);
    await fleet.worker("f13-other", { queue: "f13" });
    assert.deepEqual(await handle.result(), { attempt: 2 });
    assert.equal(fleet.runs(handle.id).length, 2);
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "accepted", "started", "requeued:fatal"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
  });

  it("F28: an assignment that is not accepted goes to another worker", async () => {
    const [gate, blocked, started] = [fleet.gate(), fleet.gate(), fleet.gate()];
    const [wedged, other] = await Promise.all([
      fleet.worker("f28-wedged", { queue: "f28", slots: 2 }),
      fleet.worker("f28-other", { queue: "f28", env: { START_GATE: started.path }, waitReady: false }),
    ]);
    const block = await fleet.client.submit("block", { gate: blocked.path }, { queue: "f28" });
    await fleet.ran(block.id);
    const handle = await fleet.client.submit("gate", { gate: gate.path }, { queue: "f28" });
    await fleet.taskReason(handle.id, "AWAITING_ACCEPT", H, {
      evidence: {
        worker: /^f28-wedged$/,
        attempt: new RegExp(`^${handle.id}\\.1$`),
        accept_deadline_ms: new RegExp(`^${FAST.acceptDeadlineMs}$`),
        taken_back_in_ms: /^\d+$/,
      },
      commands: ["muster why f28-wedged"],
    });
    await fleet.eventually(handle.id, "requeued:unaccepted", FAST.acceptDeadlineMs + H);
    await fleet.taskReason(handle.id, "DISPATCH_DELAYED", H, {
      evidence: { removed_by_unanswered: /^1 \(for example f28-wedged\)$/ },
      commands: ["muster why f28-wedged"],
    });
    started.open();
    await other.line("worker.startup.phase", ({ phase }) => phase === "ready");
    await fleet.ran(handle.id);
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f28-other", attempt: 1 });
    assert.deepEqual(await fleet.events(handle.id), [
      ...["created", "assigned", "requeued:unaccepted"],
      ...["assigned", "accepted", "started", "succeeded"],
    ]);
    blocked.open();
    assert.deepEqual(await block.result(), { worker: "f28-wedged" });
    // Unblocked, the wedged worker does not run what was taken back meanwhile.
    await wedged.line("task.completed");
    const next = await fleet.client.submit("echo", "after", { queue: "f28" });
    assert.equal(await next.result(), "after");
    assert.deepEqual(
      fleet.runs(handle.id).map(({ workerId }) => workerId),
      ["f28-other"],
    );
  });

  it("F30: a worker whose clock is an hour off is like any other", async () => {
    const preload = new URL("../support/workers/clock-offset.ts", import.meta.url).href;
    for (const [id, offset] of [
      ["f30-ahead", "3600000"],
      ["f30-behind", "-3600000"],
    ] as const) {
      const began = Date.now();
      const worker = await fleet.worker(id, {
        queue: id,
        env: { NODE_OPTIONS: `--import=${preload}`, CLOCK_OFFSET_MS: offset },
      });
      const stamp = Date.parse(String((await worker.line("worker.startup.phase")).time));
      assert.ok(Math.abs(stamp - began - Number(offset)) < 60_000, "the clock of the worker is not off");
      const chatty = await fleet.client.submit("chatty", null, { queue: id });
      await chatty.result();
      const handle = await fleet.client.submit("sleep", { ms: 2 * (L + G) }, { queue: id });
      const { reason } = await fleet.taskReason(handle.id, "RUNNING", H, {
        evidence: { worker: new RegExp(`^${id}$`) },
      });
      const age = Date.now() - (reason.since ? timestampDate(reason.since).getTime() : 0);
      assert.ok(Math.abs(age) < 60_000, `since ${age} ms, as if by the worker's clock`);
      await handle.result();
      for (const { id: taskId } of [chatty, handle]) {
        assert.equal(fleet.runs(taskId).length, 1);
        assert.deepEqual(
          (await fleet.events(taskId)).filter((name) => !name.startsWith("task.")),
          [...["created", "assigned", "accepted", "started", "succeeded"]],
        );
      }
      // A late heartbeat on a busy machine makes it suspect for a moment; by its clock it would never be ready.
      const events = await fleet.workerEvents(id);
      assert.ok(!events.includes("worker.lost"), events.join());
      assert.equal((await fleet.workerState(id)).state, WorkerState.READY);
    }
  });
});

describe("a worker is killed while its scheduler is younger than a lease", () => {
  let fleet: Fleet;

  before(async () => {
    fleet = await Fleet.start({ args: ["--heartbeat", "60", "--lease", "300", "--reconnect-grace", "1"] });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  it("F1: its task runs elsewhere at the end of the grace, not at the next regular renewal", async () => {
    const gate = fleet.gate();
    const victim = await fleet.worker("f1-young");
    const handle = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.started(handle.id);
    await fleet.worker("f1-young-other");
    await victim.end("SIGKILL");
    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f1-young-other", attempt: 2 });
    const { events } = await fleet.client.fleet.listEvents({ taskId: handle.id, pageSize: 1_000 });
    const requeued = events.find(({ name }) => name === "requeued:stale");
    const { events: ofWorker } = await fleet.client.fleet.listEvents({ workerId: "f1-young" });
    const dropped = ofWorker.find(({ name }) => name === "worker.suspect");
    assert.ok(requeued?.time && dropped?.time);
    const ms = timestampDate(requeued.time).getTime() - timestampDate(dropped.time).getTime();
    assert.ok(ms >= 1_000 && ms < 30_000, `requeued ${ms} ms after the drop`);
  });
});
