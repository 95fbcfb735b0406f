import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { type Check, CheckStatus, type Event, type Reason } from "@muster/protocol";
import { assertReason } from "../support/fleet/expected-reasons.ts";
import { Fleet, H } from "../support/fleet/fleet.ts";
import { killAll, type Program } from "../support/programs/program.ts";
import { startTestWorker } from "../support/programs/scheduler.ts";
import { until, within } from "../support/waits.ts";

/** Thresholds of the worker's and of the scheduler's watchdogs in these tests, milliseconds. */
const WARN = 400;
const SILENT = 700;

describe("soft watchdogs", () => {
  let fleet: Fleet;

  before(async () => {
    // Nothing here waits for a lease, and a busy machine must not end one.
    const patient = ["--lease", "20", "--reconnect-grace", "15"];
    fleet = await Fleet.start({ args: ["--stuck-after", String(SILENT / 1_000), ...patient] });
  });

  after(async () => {
    await killAll();
    await fleet.stop();
  });

  /** A worker whose phases are stuck after `WARN`. */
  function watched(id: string, env: Record<string, string> = {}): Promise<Program> {
    const seconds = String(WARN / 1_000);
    return startTestWorker({
      scheduler: fleet.scheduler.grpc,
      id,
      file: "watched.ts",
      env: { QUEUES: id, WORKER_WARN_MODEL_LOAD_S: seconds, WORKER_WARN_INFERENCE_S: seconds, ...env },
    });
  }

  async function timeline(taskId: string): Promise<Event[]> {
    await fleet.events(taskId);
    return (await fleet.client.fleet.listEvents({ taskId, pageSize: 1_000 })).events;
  }

  /** Waits until the task has so many events of the name. */
  async function counted(taskId: string, name: string, count: number): Promise<Event[]> {
    return until(`${count} ${name} of ${taskId}`, async () => {
      const found = (await timeline(taskId)).filter((event) => event.name === name);
      return found.length >= count ? found : undefined;
    });
  }

  async function noLongerSays(taskId: string, code: string): Promise<void> {
    await within(`${taskId} no longer says ${code}`, 2 * H, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId });
      return explanation?.reasons.some((reason) => reason.code === code) ? undefined : true;
    });
  }

  it("F4: a handler that never returns from model_load is reported stuck, again and again, and not killed", async () => {
    const gate = fleet.gate();
    const worker = await watched("f4");
    const handle = await fleet.client.submit("load", { gate: gate.path }, { queue: "f4" });
    await counted(handle.id, "task.model_load.started", 1);
    const { reason } = await fleet.taskReason(handle.id, "STUCK_IN_PHASE", WARN + H);
    const facts = evidence(reason);
    assert.equal(facts.get("phase"), "model_load");
    assert.equal(facts.get("threshold_ms"), String(WARN));
    assert.equal(facts.get("loop_blocked"), "false");
    assert.ok(Number(facts.get("elapsed_ms")) >= WARN, facts.get("elapsed_ms"));
    assertReason(reason, {
      evidence: { worker: /^f4$/, reported_by: /worker|scheduler/, progress: /^no progress was reported$/ },
      commands: [`muster cancel ${handle.id}`],
    });
    // The worker's explanation names the task.
    const { reason: ofWorker } = await fleet.workerReason("f4", "STUCK_IN_PHASE", 2 * H);
    assertReason(ofWorker, {
      evidence: { attempt: new RegExp(`^${handle.id}\\.1 in model_load for .+, threshold 400 ms$`) },
      commands: [`muster why ${handle.id}`],
    });

    const [first, second, third] = await counted(handle.id, "task.model_load.stuck", 3);
    const elapsed = [first, second, third].map((event) => Number(event?.attributes.elapsed_ms));
    const [a = 0, b = 0, c = 0] = elapsed;
    assert.ok(a >= WARN && b - a >= 2 * WARN * 0.9 && c - b >= 4 * WARN * 0.9, `intervals grow: ${elapsed}`);
    assert.equal(first?.attributes.warn_after_s, String(WARN / 1_000));
    assert.equal(first?.attributes.model, "whisper-large");
    assert.deepEqual(
      [first, second, third].map((event) => event?.attributes.warning),
      ["1", "2", "3"],
    );
    const line = await worker.line("task.model_load.stuck");
    assert.equal(line.level, "warn");
    assert.equal(line.task_id, handle.id);
    await fleet.scheduler.program.line("task.model_load.stuck", ({ worker_id }) => worker_id === "f4");

    gate.open();
    assert.deepEqual(await handle.result(), { worker: "f4" });
    const names = (await timeline(handle.id)).map(({ name }) => name);
    assert.deepEqual(
      names.filter((name, index) => name !== names[index - 1]),
      [
        ...["created", "assigned", "accepted", "started", "task.model_load.started"],
        ...["task.model_load.stuck", "task.model_load.recovered", "task.model_load.completed", "succeeded"],
      ],
    );
    assert.equal(names.filter((name) => name.startsWith("requeued")).length, 0);
    await worker.line("task.model_load.recovered", ({ by }) => by === "completed");
    await within("the worker is called stuck no more", 2 * H, async () => {
      const { explanation } = await fleet.client.fleet.explainWorker({ workerId: "f4" });
      return explanation?.reasons.every(({ code }) => code !== "STUCK_IN_PHASE") ? true : undefined;
    });
  });

  it("a stuck phase that ends by failure or by cancellation recovers before it fails", async () => {
    await watched("failing");
    const gate = fleet.gate();
    const failing = await fleet.client.submit("loadThenFail", { gate: gate.path }, { queue: "failing" });
    await counted(failing.id, "task.model_load.stuck", 1);
    gate.open();
    await failing.result();
    const cancelled = await fleet.client.submit("load", { gate: "/nonexistent" }, { queue: "failing" });
    await counted(cancelled.id, "task.model_load.stuck", 1);
    await cancelled.cancel("enough");
    await fleet.eventually(cancelled.id, "cancelled", 2 * H);
    for (const { id } of [failing, cancelled]) {
      const events = await timeline(id);
      const [recovered, failed] = ["recovered", "failed"].map((change) =>
        events.findIndex(({ name }) => name === `task.model_load.${change}`),
      );
      assert.ok(recovered !== undefined && failed !== undefined && recovered > 0 && recovered < failed);
      assert.equal(events[recovered]?.attributes.by, "failed");
    }
  });

  it("a phase that blocks the main loop is reported while it does, in the log and the timeline", async () => {
    const worker = await watched("blocked");
    const gate = fleet.gate();
    const handle = await fleet.client.submit("block", { gate: gate.path }, { queue: "blocked" });
    const [stuck] = await counted(handle.id, "task.inference.stuck", 1);
    assert.equal(stuck?.attributes.warn_after_s, String(WARN / 1_000));
    const { reason } = await fleet.taskReason(handle.id, "STUCK_IN_PHASE", H);
    const { explanation } = await fleet.taskReason(handle.id, "LOOP_BLOCKED", 1_000 + 3 * H);
    assert.equal(evidence(reason).get("phase"), "inference");
    const both = explanation.reasons.find(({ code }) => code === "STUCK_IN_PHASE");
    assert.equal(both && evidence(both).get("loop_blocked"), "true");
    await worker.line("task.inference.stuck", ({ loop_age_ms }) => Number(loop_age_ms) > 500);
    assert.ok(!worker.lines.some(({ event }) => event === "task.completed"), "reported while it was blocked");
    await fleet.scheduler.program.line("worker.loop_blocked", ({ worker_id }) => worker_id === "blocked");
    gate.open();
    await handle.result();
    await fleet.scheduler.program.line("worker.loop_unblocked", ({ worker_id }) => worker_id === "blocked");
    const names = await fleet.events(handle.id);
    assert.ok(names.indexOf("task.inference.recovered") < names.indexOf("task.inference.completed"));
    await within("the worker's events tell of it", 2 * H, async () => {
      const ofWorker = await fleet.workerEvents("blocked");
      return ofWorker.includes("worker.loop_blocked") && ofWorker.includes("worker.loop_unblocked")
        ? true
        : undefined;
    });
  });

  it("progress keeps a phase alive; when it stops the phase is stuck, and recovers when it goes on", async () => {
    await watched("steps");
    const [stop, gate] = [fleet.gate(), fleet.gate()];
    const handle = await fleet.client.submit(
      "steps",
      { stop: stop.path, gate: gate.path },
      { queue: "steps" },
    );
    await until("progress beyond three thresholds", async () =>
      Number((await fleet.task(handle.id)).progress?.doneCount ?? 0) * 50 > 3 * WARN ? true : undefined,
    );
    assert.ok(!(await fleet.events(handle.id)).includes("task.inference.stuck"));
    stop.open();
    const { reason } = await fleet.taskReason(handle.id, "STUCK_IN_PHASE", WARN + 2 * H);
    assert.match(evidence(reason).get("progress") ?? "", /step|%/);
    gate.open();
    await handle.result();
    const events = await timeline(handle.id);
    const recovered = events.find(({ name }) => name === "task.inference.recovered");
    assert.equal(recovered?.attributes.by, "progress");
  });

  it("the outer phase is named when an inner one hides it", async () => {
    await watched("nested");
    const gate = fleet.gate();
    const handle = await fleet.client.submit("nested", { gate: gate.path }, { queue: "nested" });
    await within("the outer phase is stuck", WARN + 2 * H, async () => {
      const { explanation } = await fleet.client.tasks.explainTask({ taskId: handle.id });
      const stuck = explanation?.reasons.filter(({ code }) => code === "STUCK_IN_PHASE") ?? [];
      return stuck.some((reason) => evidence(reason).get("phase") === "inference") || undefined;
    });
    gate.open();
    await handle.result();
  });

  it("a handler that never returns, without a phase, is found by the scheduler", async () => {
    await watched("mute");
    const gate = fleet.gate();
    const handle = await fleet.client.submit("mute", { gate: gate.path }, { queue: "mute" });
    const { reason } = await fleet.taskReason(handle.id, "STUCK_IN_PHASE", SILENT + 2 * H);
    assert.equal(evidence(reason).get("phase"), "none");
    assert.equal(evidence(reason).get("worker"), "mute");
    await within("the overview and the diagnosis agree", SILENT + 2 * H, async () => {
      const { overview } = await fleet.client.fleet.getOverview({});
      const named = overview?.running.some(({ taskId, stuck }) => stuck && taskId === handle.id);
      return named && (await stuckCheck(fleet)).summary.includes(handle.id) ? true : undefined;
    });
    await counted(handle.id, "task.run.stuck", 2);
    const log = fleet.scheduler.program;
    const line = await log.line("tasks.stuck", ({ tasks }) => JSON.stringify(tasks).includes(handle.id));
    const [named] = [line.tasks].flat().filter((task) => Object(task).task_id === handle.id);
    assert.equal(Object(named).worker_id, "mute");
    assert.ok(Number(Object(named).elapsed_ms) >= SILENT);
    assert.match(String((await log.line("monitor", ({ stuck }) => Number(stuck) > 0)).line), /Stuck: [1-9]/);
    // A second task is not stuck because the first one is.
    gate.open();
    await handle.result();
    await noLongerSays(handle.id, "STUCK_IN_PHASE");
    await log.line("monitor", ({ stuck }) => stuck === 0, { after: log.mark() });
  });

  it("a task's own thresholds reach its worker and hold for the scheduler", async () => {
    await watched("own", { SLOTS: "3" });
    const gate = fleet.gate();
    const submit = (type: string, watchdogs: { run?: number; decode?: number }) => {
      const seconds = (value: number) => ({ seconds: BigInt(value), nanos: 0 });
      return fleet.client.tasks.submitTasks({
        tasks: [
          {
            taskType: type,
            queue: "own",
            payload: Buffer.from(JSON.stringify({ gate: gate.path })),
            watchdogs: {
              ...(watchdogs.run === undefined ? {} : { run: seconds(watchdogs.run) }),
              phases: watchdogs.decode === undefined ? {} : { decode: seconds(watchdogs.decode) },
            },
          },
        ],
      });
    };
    const ids = (await Promise.all([submit("nested", { decode: 1 }), submit("mute", { run: 0 })])).map(
      ({ tasks }) => tasks[0]?.taskId ?? "",
    );
    const [nested = "", never = ""] = ids;
    const [stuck] = await counted(nested, "task.decode.stuck", 1);
    assert.equal(stuck?.attributes.warn_after_s, "1");
    // By now the silent one would be called stuck, had it not asked for never.
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: never });
    assert.deepEqual(
      explanation?.reasons.map(({ code }) => code),
      ["RUNNING"],
    );
    gate.open();
  });
});

it("with --stuck-after 0 nothing that names no phase is stuck, however long it runs", async () => {
  const fleet = await Fleet.start({ args: ["--stuck-after", "0"] });
  try {
    await fleet.worker("patient");
    const gate = fleet.gate();
    const held = await fleet.client.submit("gate", { gate: gate.path });
    await fleet.eventually(held.id, "started");
    await fleet.db.query(
      `update task set assign_time = assign_time - interval '1 day', accept_time = accept_time - interval '1 day',
         start_time = start_time - interval '1 day'`,
    );
    // The overview is made anew after what its cache holds has aged; the task then shows the day.
    const overview = await until("the overview has the task's age", async () => {
      const answer = (await fleet.client.fleet.getOverview({})).overview;
      return Number(answer?.running[0]?.age?.seconds ?? 0) > 80_000 ? answer : undefined;
    });
    assert.equal(overview.stuckCount, 0n);
    assert.equal(overview.running[0]?.stuck, false);
    assert.equal((await stuckCheck(fleet)).status, CheckStatus.OK);
    const { explanation } = await fleet.client.tasks.explainTask({ taskId: held.id });
    assert.deepEqual(
      explanation?.reasons.map(({ code }) => code),
      ["RUNNING"],
    );
    gate.open();
    await held.result();
  } finally {
    await killAll();
    await fleet.stop();
  }
});

async function stuckCheck({ client }: Fleet): Promise<Check> {
  const { diagnosis } = await client.fleet.diagnose({});
  const check = diagnosis?.checks.find(({ name }) => name === "work.stuck");
  assert.ok(check, "the diagnosis has no work.stuck");
  return check;
}

function evidence(reason: Reason): Map<string, string> {
  return new Map(reason.evidence.map(({ key, value }) => [key, value]));
}
