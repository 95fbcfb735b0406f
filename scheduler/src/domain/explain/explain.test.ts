import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { TaskRecord } from "../task.ts";
import { closest } from "./closest.ts";
import { ago, BEAT, BROKE, member, NOW, running, TASK } from "./fixture.test.ts";
import type { FleetMember } from "./fleet.ts";
import { plural, span } from "./reason.ts";
import { explainActive, explainEnded } from "./task.ts";
import { explainGone, explainLiving } from "./worker.ts";

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
  const first = (task: TaskRecord, holder = member()) => explainActive(task, holder, NOW)[0];

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
    assert.equal(explainActive(active, undefined, NOW)[0]?.code, "RUNNING");
  });

  it("tells what is wrong before what it does, all of it", () => {
    const beat = {
      ...BEAT,
      loopAgeMs: 18_000,
      running: [{ ...running("t-7.2", "inference", 1), resultPending: true }],
    };
    const holder = member({ state: "suspect", record: { heartbeat: beat } });
    const codes = explainActive({ ...active, cancelTime: ago(5_000), cancelReason: "why" }, holder, NOW).map(
      ({ code }) => code,
    );
    assert.deepEqual(codes, ["WORKER_SUSPECT", "CANCELLING", "LOOP_BLOCKED", "RESULT_PENDING"]);
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
    assert.deepEqual(codes(member({ record: busy })), ["LOOP_BLOCKED", "BUSY"]);
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
  });

  it("suggest what a typo may have missed, and nothing far off", () => {
    assert.deepEqual(closest("grpc-adr", ["grpc-addr", "http-addr", "token"]), ["grpc-addr"]);
    assert.deepEqual(closest("OCR", ["ocr"]), ["ocr"]);
    assert.deepEqual(closest("ehco", ["echo", "sleep"]), ["echo"]);
    assert.deepEqual(closest("", ["echo"]), []);
    assert.deepEqual(closest("ocr", ["ocr.page", "ocrpage", "omr"]), ["ocr.page", "omr"]);
    assert.deepEqual(closest("render", ["ocr", "echo"]), []);
    assert.equal(closest("aaa", ["aab", "aac", "aad", "aae"]).length, 3);
  });
});
