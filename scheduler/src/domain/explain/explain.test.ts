/** Which reasons the explanations of assigned tasks, ended tasks and workers have, and their facts. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { WatchSettings } from "../tasks/attempts/watchdog.ts";
import type { TaskRecord } from "../tasks/task.ts";
import type { TimelineEvent } from "../tasks/timeline.ts";
import type { FleetMember } from "./fleet.ts";
import { plural, type Reason, span } from "./reason.ts";
import { explainActive, explainEnded } from "./task.ts";
import { ago, BEAT, BROKE, held, member, NOW, running, TASK } from "./testing/fixture.ts";
import { SILENT } from "./testing/made-facts.ts";
import { explainGone, explainLiving } from "./workers/worker.ts";

const WATCH: WatchSettings = {
  stuckAfterMs: 300_000,
  unstartedAfterMs: 30_000,
  phasesMs: { inference: 60_000, model_load: 60_000 },
};

describe("the explanation of an assigned task", () => {
  const active: TaskRecord = {
    ...TASK,
    state: "running",
    epoch: 2,
    workerId: "w-1",
    assignTime: ago(50_000),
    acceptTime: ago(49_000),
    startTime: ago(48_000),
  };
  const explain = (
    task: TaskRecord,
    holder: FleetMember | undefined = member(),
    events: readonly TimelineEvent[] = [],
  ) => explainActive({ task, holder, events, watch: WATCH, acceptDeadlineMs: 5_000, now: NOW });
  const first = (task: TaskRecord, holder = member()) => explain(task, holder)[0];

  it("has what it does, when nothing is wrong", () => {
    const phase = { phase: "inference", phaseTime: ago(10_000) };
    const reason = first({
      ...active,
      ...phase,
      progress: { fraction: 0.5, message: "page 2", at: ago(1_000) },
    });
    assert.equal(reason?.code, "RUNNING");
    assert.deepEqual(facts(reason).get("progress"), "page 2");
    assert.deepEqual(reason?.since, active.startTime);
    assert.equal(first({ ...active, state: "assigned" })?.code, "AWAITING_ACCEPT");
    assert.equal(
      explainActive({
        task: active,
        holder: undefined,
        events: [],
        watch: WATCH,
        acceptDeadlineMs: 5_000,
        now: NOW,
      })[0]?.code,
      "RUNNING",
    );
  });

  it("has everything that is wrong, before what it does", () => {
    const beat = {
      ...BEAT,
      loopAgeMs: 18_000,
      running: [{ ...running("t-7.2", "inference", 1), resultPending: true }],
    };
    const holder = member({ state: "suspect", record: { heartbeat: beat } });
    const codes = explain({ ...active, cancelTime: ago(5_000), cancelReason: "why" }, holder).map(
      ({ code }) => code,
    );
    assert.deepEqual(codes, ["WORKER_SUSPECT", "CANCELLING", "LOOP_BLOCKED", "RESULT_PENDING"]);
  });

  it("T6: has the reason for which the database did not take a result", () => {
    const held = [
      {
        attemptId: "t-7.2",
        type: "ocr",
        phase: "",
        phaseAgeMs: 1,
        ageMs: 1,
        resultPending: true,
        heldUp: "it is full",
      },
    ];
    const [reason] = explain(active, { ...member({}), held });
    assert.equal(reason?.code, "RESULT_PENDING");
    assert.equal(facts(reason).get("last_error"), "it is full");
  });

  it("has a phase as stuck from its threshold on, whichever part reports it first", () => {
    const inPhase = { ...active, phase: "model_load", phaseTime: ago(47_000) };
    assert.equal(first(inPhase)?.code, "RUNNING", "below the scheduler's threshold");
    const own = { ...inPhase, options: { watchdogs: { phasesMs: { model_load: 40_000 } } } };
    const [byTask] = explain(own);
    assert.equal(byTask?.code, "STUCK_IN_PHASE");
    assert.deepEqual(
      ["phase", "worker", "elapsed_ms", "threshold_ms"].map((key) => facts(byTask).get(key)),
      ["model_load", "w-1", "47000", "40000"],
    );
    assert.equal(byTask?.since?.getTime(), ago(47_000).getTime());
    const beat = { ...BEAT, running: [{ ...running("t-7.2", "model_load", 40_000), warnAfterMs: 90_000 }] };
    assert.equal(first(own, member({ record: { heartbeat: beat } }))?.code, "RUNNING", "the worker's wins");
    const moving = { ...own, progress: { message: "layer 9", at: ago(3_000) } };
    assert.equal(first(moving)?.code, "RUNNING", "it makes progress");
    assert.equal(first({ ...own, phase: "toString", phaseTime: ago(9_000_000) })?.code, "RUNNING");
  });

  it("has a phase that the worker reported as stuck, until that phase recovers or ends", () => {
    const reported = (name: string, at: number, epoch = 2): TimelineEvent => ({
      id: 10_000 - at,
      time: ago(at),
      name,
      epoch,
      workerId: "w-1",
      attributes: { elapsed_ms: "5000", warn_after_s: "5", warning: "1", model: "whisper" },
    });
    const stuck = reported("task.load.stuck", 2_000);
    const [reason] = explain(active, undefined, [reported("task.load.started", 7_000), stuck]);
    assert.equal(reason?.code, "STUCK_IN_PHASE");
    assert.deepEqual(
      ["phase", "elapsed_ms", "threshold_ms", "loop_blocked", "model"].map((key) => facts(reason).get(key)),
      ["load", "7000", "5000", "false", "whisper"],
    );
    for (const end of ["recovered", "completed", "failed"]) {
      const [over] = explain(active, undefined, [stuck, reported(`task.load.${end}`, 1_000)]);
      assert.equal(over?.code, "RUNNING", end);
    }
    const [other] = explain(active, undefined, [stuck, reported("task.decode.completed", 1_000)]);
    assert.equal(other?.code, "STUCK_IN_PHASE", "the end of another phase changes nothing");
    const [earlier] = explain(active, undefined, [reported("task.load.stuck", 90_000, 1)]);
    assert.equal(earlier?.code, "RUNNING", "an event of an earlier attempt");
  });

  it("has the verdict of the scheduler that holds the worker, unless an event is newer", () => {
    const heartbeat = { ...BEAT, verdict: { stuck: [SILENT], unlisted: [] } };
    const holder = member({ record: { heartbeat, heartbeatTime: ago(4_000) } });
    const [reason] = explain(active, holder);
    assert.equal(reason?.code, "STUCK_IN_PHASE");
    assert.deepEqual([facts(reason).get("phase"), facts(reason).get("elapsed_ms")], ["none", "305000"]);
    const event = { id: 1, name: "task.decode.started", epoch: 2, workerId: "w-1", attributes: {} };
    assert.equal(explain(active, holder, [{ ...event, time: ago(1_000) }])[0]?.code, "RUNNING");
  });

  it("has an accepted task that does not start, and one that the heartbeats do not list", () => {
    const waiting = { ...active, startTime: undefined };
    const prefetching = member();
    const hello = { ...prefetching.record.hello, prefetch: 2 };
    // Nothing says that it runs: not every worker reports starts.
    assert.equal(first({ ...waiting, acceptTime: ago(5_000) })?.code, "AWAITING_START");
    const [soon] = explain({ ...waiting, acceptTime: ago(5_000) }, member({ record: { hello } }));
    assert.equal(soon?.code, "AWAITING_START");
    assert.equal(facts(soon).get("accepted_ms_ago"), "5000");
    assert.equal(facts(first(waiting)).get("accepted_ms_ago"), "49000");
    const gone = { taskId: 7, epoch: 2, forMs: 9_000, takenBackInMs: 25_000 };
    const heartbeat = { ...BEAT, verdict: { stuck: [], unlisted: [gone] } };
    const [missing] = explain(active, member({ record: { heartbeat } }));
    assert.equal(missing?.code, "MISSING_AT_WORKER");
    assert.equal(facts(missing).get("unlisted_ms"), "13000");
  });

  it("does not have a main loop that another attempt blocks", () => {
    const holder = member({
      record: { heartbeat: { ...BEAT, loopAgeMs: 18_000, running: [running("t-9.1", "", 1)] } },
    });
    assert.equal(first(active, holder)?.code, "RUNNING");
  });
});

describe("the explanation of an ended task", () => {
  const ended = (fields: Partial<TaskRecord>) =>
    explainEnded({ ...TASK, finishTime: NOW, workerId: "w-1", ...fields }, []);

  it("has a code for each way", () => {
    assert.equal(ended({ state: "succeeded" }).code, "SUCCEEDED");
    const warned = ended({
      state: "succeeded",
      warnings: [{ step: "upload", code: "C", message: "not stored" }],
    });
    assert.equal(warned.code, "SUCCEEDED_WITH_WARNINGS");
    assert.equal(ended({ state: "cancelled", cancelReason: "why" }).code, "CANCELLED");
    const failed = ended({ state: "failed", detail: "BROKE", failure: BROKE });
    assert.deepEqual([failed.code, facts(failed).get("last_error")], ["FAILED", "BROKE: it broke"]);
    const exhausted = ended({
      state: "failed",
      detail: "RETRIES_EXHAUSTED",
      attemptCount: 4,
      failure: BROKE,
    });
    assert.equal(exhausted.code, "RETRIES_EXHAUSTED");
    assert.equal(facts(exhausted).get("last_error"), "BROKE: it broke");
  });
});

describe("the explanation of a worker", () => {
  const codes = (of: FleetMember, ready = 0) =>
    explainLiving(
      of,
      [{ taskClass: { id: 1, queue: "default", type: "ocr", requirements: TASK.requirements }, ready }],
      NOW,
    ).map(({ code }) => code);

  it("has a code for each state", () => {
    assert.deepEqual(codes(member()), ["IDLE_NO_WORK"]);
    assert.deepEqual(codes(member({ candidate: { types: new Map() } }), 3), ["IDLE_NOT_ELIGIBLE"]);
    assert.deepEqual(codes(member({ state: "suspect" })), ["SUSPECT"]);
    assert.deepEqual(codes(member({ state: "draining" })), ["DRAINING"]);
    assert.deepEqual(codes(member({ state: "registered" })), ["STARTING"]);
    assert.deepEqual(codes(member({ candidate: { pauseReason: "memory" } })), ["PAUSED"]);
    const busy = { heartbeat: { ...BEAT, loopAgeMs: 20_000, running: [running("t-3.1", "load", 5)] } };
    const more = { held: [held("t-3.1", "load", 5)] };
    assert.deepEqual(codes(member({ record: busy, more })), ["LOOP_BLOCKED", "BUSY"]);
  });

  it("has a code for each end", () => {
    const gone = (goneReason: string) =>
      explainGone(member({ record: { goneTime: NOW, goneReason } }).record).code;
    assert.deepEqual(["lost", "fatal", "superseded", "finished"].map(gone), [
      "LOST",
      "FATAL",
      "SUPERSEDED",
      "EXITED",
    ]);
    const fatal = { phase: "boot", exceptionClass: "E", exceptionMessage: "m", traceback: "tb", exitCode: 3 };
    const reason = explainGone(member({ record: { goneTime: NOW, goneReason: "fatal", fatal } }).record);
    assert.deepEqual([facts(reason).get("exception"), facts(reason).get("traceback")], ["E: m", "tb"]);
  });
});

describe("words of explanations", () => {
  it("have lengths of time and plurals", () => {
    const shown = [-5, 0, 340, 999, 1_000, 12_340, 119_999, 120_000, 7_200_000, 9_000_000, 172_800_000].map(
      span,
    );
    assert.deepEqual(shown, [
      "0 ms",
      "0 ms",
      "340 ms",
      "999 ms",
      "1 s",
      "12 s",
      "120 s",
      "2 min",
      "2 h",
      "2.5 h",
      "2 days",
    ]);
    assert.deepEqual(
      [plural(0, "task"), plural(1, "task"), plural(2, "task")],
      ["0 tasks", "1 task", "2 tasks"],
    );
    assert.deepEqual(
      [plural(1, "task", ["waits", "wait"]), plural(2, "task", ["waits", "wait"])],
      ["1 task waits", "2 tasks wait"],
    );
  });
});

/** The facts of a reason by key; of several with one key the last. */
function facts(reason: Reason | undefined): ReadonlyMap<string, string> {
  return new Map(reason?.evidence.map(({ key, value }) => [key, value]));
}
