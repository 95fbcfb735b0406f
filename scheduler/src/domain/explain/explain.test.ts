import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TaskRecord } from "../tasks/task.ts";
import type { TimelineEvent } from "../tasks/timeline.ts";
import type { WatchSettings } from "../tasks/watchdog.ts";
import type { FleetMember } from "./fleet.ts";
import { plural, span } from "./reason.ts";
import { explainActive, explainEnded } from "./task.ts";
import { ago, BEAT, BROKE, held, member, NOW, running, TASK } from "./testing/fixture.ts";
import { explainGone, explainLiving } from "./worker.ts";

const WATCH: WatchSettings = {
  stuckAfterMs: 300_000,
  unstartedAfterMs: 30_000,
  phasesMs: { inference: 60_000, model_load: 60_000 },
};

describe("why a task that was given out stands where it stands", () => {
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

  it("tells what it does", () => {
    const phase = { phase: "inference", phaseTime: ago(10_000) };
    const reason = first({
      ...active,
      ...phase,
      progress: { fraction: 0.5, message: "page 2", at: ago(1_000) },
    });
    assert.equal(reason?.code, "RUNNING");
    assert.match(reason?.summary ?? "", /on w-1 for 48 s, in inference for 10 s, 50 % done/);
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

  it("tells what is wrong before what it does, all of it", () => {
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

  it("T6: says why the database has not taken a result that has arrived", () => {
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
    assert.match(reason?.summary ?? "", /the result waits to be committed, because it is full$/);
    assert.match(
      reason?.remedy ?? "",
      /^fix what the error names: the result is kept, and its commit is retried/,
    );
  });

  it("calls a phase stuck from its threshold on, whoever tells of it first", () => {
    const inPhase = { ...active, phase: "model_load", phaseTime: ago(47_000) };
    assert.equal(first(inPhase)?.code, "RUNNING", "below the scheduler's threshold");
    const own = { ...inPhase, options: { watchdogs: { phasesMs: { model_load: 40_000 } } } };
    const [byTask] = explain(own);
    assert.equal(byTask?.code, "STUCK_IN_PHASE");
    assert.match(byTask?.summary ?? "", /in model_load on w-1 for 47 s; more than 40 s is called stuck/);
    assert.equal(byTask?.since?.getTime(), ago(47_000).getTime());
    const beat = { ...BEAT, running: [{ ...running("t-7.2", "model_load", 40_000), warnAfterMs: 90_000 }] };
    assert.equal(first(own, member({ record: { heartbeat: beat } }))?.code, "RUNNING", "the worker's wins");
    const moving = { ...own, progress: { message: "layer 9", at: ago(3_000) } };
    assert.equal(first(moving)?.code, "RUNNING", "it makes progress");
    assert.equal(first({ ...own, phase: "toString", phaseTime: ago(9_000_000) })?.code, "RUNNING");
  });

  it("takes the worker's word for a stuck phase until that phase recovers or ends", () => {
    const told = (name: string, at: number, epoch = 2): TimelineEvent => ({
      id: 10_000 - at,
      time: ago(at),
      name,
      epoch,
      workerId: "w-1",
      attributes: { elapsed_ms: "5000", warn_after_s: "5", warning: "1", model: "whisper" },
    });
    const stuck = told("task.load.stuck", 2_000);
    const [reason] = explain(active, undefined, [told("task.load.started", 7_000), stuck]);
    assert.equal(reason?.code, "STUCK_IN_PHASE");
    const facts = new Map(reason?.evidence.map(({ key, value }) => [key, value]));
    assert.deepEqual(
      ["phase", "elapsed_ms", "threshold_ms", "loop_blocked", "model"].map((key) => facts.get(key)),
      ["load", "7000", "5000", "false", "whisper"],
    );
    for (const end of ["recovered", "completed", "failed"]) {
      const [over] = explain(active, undefined, [stuck, told(`task.load.${end}`, 1_000)]);
      assert.equal(over?.code, "RUNNING", end);
    }
    const [other] = explain(active, undefined, [stuck, told("task.decode.completed", 1_000)]);
    assert.equal(other?.code, "STUCK_IN_PHASE", "the end of another phase changes nothing");
    const [earlier] = explain(active, undefined, [told("task.load.stuck", 90_000, 1)]);
    assert.equal(earlier?.code, "RUNNING", "an earlier attempt's word is not this one's");
  });

  it("reads the verdict of the scheduler that holds the worker, unless something has happened since", () => {
    const silent = {
      taskId: 7,
      epoch: 2,
      phase: "",
      elapsedMs: 301_000,
      stillMs: 301_000,
      warnAfterMs: 300_000,
      by: "scheduler" as const,
    };
    const heartbeat = { ...BEAT, verdict: { stuck: [silent], unlisted: [] } };
    const holder = member({ record: { heartbeat, heartbeatTime: ago(4_000) } });
    const [reason] = explain(active, holder);
    assert.equal(reason?.code, "STUCK_IN_PHASE");
    assert.match(reason?.summary ?? "", /without naming a phase on w-1 for 5.1 min/);
    const event = { id: 1, name: "task.decode.started", epoch: 2, workerId: "w-1", attributes: {} };
    assert.equal(explain(active, holder, [{ ...event, time: ago(1_000) }])[0]?.code, "RUNNING");
  });

  it("tells of an accepted task that does not start, and of one that its worker has forgotten", () => {
    const waiting = { ...active, startTime: undefined };
    const prefetching = member();
    const hello = { ...prefetching.record.hello, prefetch: 2 };
    // Nothing says that it runs: not every worker reports starts.
    assert.equal(first({ ...waiting, acceptTime: ago(5_000) })?.code, "AWAITING_START");
    const [soon] = explain({ ...waiting, acceptTime: ago(5_000) }, member({ record: { hello } }));
    assert.equal(soon?.code, "AWAITING_START");
    assert.match(soon?.remedy ?? "", /starts there when a slot is free/);
    assert.match(first(waiting)?.summary ?? "", /accepted it 49 s ago and has not reported its start/);
    const gone = { taskId: 7, epoch: 2, forMs: 9_000, takenBackInMs: 25_000 };
    const heartbeat = { ...BEAT, verdict: { stuck: [], unlisted: [gone] } };
    const [missing] = explain(active, member({ record: { heartbeat } }));
    assert.equal(missing?.code, "MISSING_AT_WORKER");
    assert.match(missing?.remedy ?? "", /taken back in 21 s/);
  });

  it("does not blame a loop that another attempt's worker blocks", () => {
    const holder = member({
      record: { heartbeat: { ...BEAT, loopAgeMs: 18_000, running: [running("t-9.1", "", 1)] } },
    });
    assert.equal(first(active, holder)?.code, "RUNNING");
  });
});

describe("how a task ended", () => {
  const ended = (fields: Partial<TaskRecord>) =>
    explainEnded({ ...TASK, finishTime: NOW, workerId: "w-1", ...fields }, []);

  it("has a code for each way", () => {
    assert.equal(ended({ state: "succeeded" }).code, "SUCCEEDED");
    const warned = ended({
      state: "succeeded",
      warnings: [{ step: "upload", code: "C", message: "not stored" }],
    });
    assert.equal(warned.code, "SUCCEEDED_WITH_WARNINGS");
    assert.match(warned.summary, /1 warning: upload: not stored/);
    assert.equal(ended({ state: "cancelled", cancelReason: "why" }).code, "CANCELLED");
    const failed = ended({ state: "failed", detail: "BROKE", failure: BROKE });
    assert.deepEqual([failed.code, failed.summary], ["FAILED", "it failed with BROKE: it broke"]);
    const exhausted = ended({
      state: "failed",
      detail: "RETRIES_EXHAUSTED",
      attemptCount: 4,
      failure: BROKE,
    });
    assert.equal(exhausted.code, "RETRIES_EXHAUSTED");
    assert.match(exhausted.summary, /4 times.*BROKE: it broke/);
    assert.match(exhausted.remedy, /muster retry t-7/);
  });
});

describe("why a worker does what it does", () => {
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

  it("keeps how a worker ended", () => {
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
    assert.match(reason.summary, /E: m in boot and exited with 3/);
    assert.equal(reason.evidence[0]?.value, "tb");
  });
});

describe("words of explanations", () => {
  it("tell lengths of time", () => {
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
