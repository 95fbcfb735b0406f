import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Candidate } from "../match.ts";
import type { TaskRecord } from "../task.ts";
import type { HeartbeatRecord, WorkerRecord, WorkerState } from "../worker.ts";
import { closest } from "./closest.ts";
import { plural, type Reason, span } from "./reason.ts";
import { explainActive, explainEnded } from "./task.ts";
import { explainWaiting, type FleetMember, type WaitingFacts } from "./waiting.ts";
import { explainGone, explainLiving } from "./worker.ts";

const NOW = new Date("2025-06-01T12:00:00Z");
const ago = (ms: number) => new Date(NOW.getTime() - ms);

const TASK: TaskRecord = {
  id: 7,
  queue: "default",
  type: "ocr",
  requirements: { labels: {}, resources: [] },
  state: "queued",
  detail: undefined,
  priority: 0,
  payload: undefined,
  contentType: "",
  headers: {},
  uniqueKey: undefined,
  options: undefined,
  attemptCount: 0,
  outOfMemoryCount: 0,
  epoch: 0,
  sessionId: undefined,
  workerId: undefined,
  createTime: ago(60_000),
  runTime: undefined,
  assignTime: undefined,
  acceptTime: undefined,
  startTime: undefined,
  finishTime: undefined,
  phase: undefined,
  phaseTime: undefined,
  progress: undefined,
  output: undefined,
  outputContentType: "",
  failure: undefined,
  warnings: [],
  metrics: undefined,
  cancelTime: undefined,
  cancelReason: undefined,
};
const BROKE = { class: "retryable", code: "BROKE", message: "it broke" } as const;

const BEAT: HeartbeatRecord = {
  sequence: 1,
  slots: 2,
  running: [],
  loopAgeMs: 0,
  loopDelayP99Ms: 0,
  cpuUsage: 0,
  rssBytes: 0,
  heapUsedBytes: 0,
  resources: [],
  paused: false,
  pauseReason: "",
  counters: {},
};

function running(attemptId: string, phase: string, phaseAgeMs: number) {
  const idle = { progress: undefined, progressAgeMs: undefined, resultPending: false, cancelling: false };
  return { attemptId, phase, phaseAgeMs, ...idle };
}

function member(
  options: {
    id?: string;
    state?: WorkerState;
    candidate?: Partial<Candidate>;
    record?: Partial<WorkerRecord>;
  } = {},
): FleetMember {
  const workerId = options.id ?? "w-1";
  const record: WorkerRecord = {
    sessionId: 1,
    sessionUuid: "",
    workerId,
    schedulerId: "s",
    hello: {
      sdk: "",
      pool: "",
      labels: {},
      types: [{ type: "ocr", concurrency: 0 }],
      queues: ["default"],
      slots: 2,
      prefetch: 0,
      resources: [],
      launchId: "",
      features: [],
      host: {
        hostname: "",
        pid: 0,
        uid: undefined,
        gid: undefined,
        cwd: "",
        cpus: 0,
        memoryBytes: 0,
        runtime: "",
      },
    },
    phases: [],
    ready: true,
    draining: false,
    connectTime: NOW,
    heartbeatTime: ago(4_000),
    leaseUntil: NOW,
    disconnected: false,
    heartbeat: BEAT,
    goneTime: undefined,
    goneReason: undefined,
    fatal: undefined,
    activeCount: 0,
    ...options.record,
  };
  return {
    record,
    state: options.state ?? "ready",
    candidate: {
      workerId,
      ready: true,
      draining: false,
      pauseReason: undefined,
      queues: new Set(["default"]),
      types: new Map([["ocr", { limit: Number.POSITIVE_INFINITY, active: 0 }]]),
      labels: {},
      resources: new Set(),
      credit: 2,
      ...options.candidate,
    },
  };
}

function waiting(fleet: readonly FleetMember[], facts: Partial<WaitingFacts> = {}): Reason[] {
  const task = facts.task ?? TASK;
  return explainWaiting({
    task,
    taskClass: { id: 1, queue: task.queue, type: task.type, requirements: task.requirements },
    queuePause: undefined,
    fleet,
    lastWorkerSeen: undefined,
    now: NOW,
    ...facts,
  });
}

describe("why a task waits", () => {
  const cases: readonly (readonly [string, () => Reason[], RegExp])[] = [
    ["NO_WORKERS", () => waiting([]), /none was ever seen/],
    ["NO_WORKERS", () => waiting([], { lastWorkerSeen: ago(180_000) }), /seen 3 min ago/],
    ["DISPATCH_DELAYED", () => waiting([member()]), /1 worker can take it/],
    [
      "ALL_SLOTS_BUSY",
      () =>
        waiting([
          member({
            candidate: { credit: 0 },
            record: { heartbeat: { ...BEAT, running: [running("t-3.1", "inference", 90_000)] } },
          }),
        ]),
      /all 2 slots.*t-3\.1 on w-1 for 90 s in inference/,
    ],
    ["WORKERS_PAUSED", () => waiting([member({ candidate: { pauseReason: "memory" } })]), /w-1: memory/],
    ["WORKERS_DRAINING", () => waiting([member({ candidate: { draining: true } })]), /w-1/],
    [
      "WORKERS_STARTING",
      () => waiting([member({ state: "registered", candidate: { ready: false } })]),
      /starting/,
    ],
    [
      "WORKER_SUSPECT",
      () => waiting([member({ state: "suspect", candidate: { ready: false } })]),
      /do not answer/,
    ],
    [
      "RESOURCE_NOT_LOADED",
      () => waiting([member()], { task: { ...TASK, requirements: { labels: {}, resources: ["model:x"] } } }),
      /model:x/,
    ],
    [
      "NO_WORKER_MATCHES_LABELS",
      () =>
        waiting([member({ candidate: { labels: { gpu: "t4" } } })], {
          task: { ...TASK, requirements: { labels: { gpu: "a100" }, resources: [] } },
        }),
      /gpu=a100.*t4/,
    ],
    ["NO_WORKER_FOR_TYPE", () => waiting([member()], { task: { ...TASK, queue: "other" } }), /queue other/],
    [
      "NO_WORKER_FOR_TYPE",
      () => waiting([member()], { task: { ...TASK, type: "ocrr" } }),
      /did you mean ocr/,
    ],
    ["QUEUE_PAUSED", () => waiting([member()], { queuePause: { reason: "night", since: NOW } }), /night/],
    ["SCHEDULED_FOR_LATER", () => waiting([], { task: { ...TASK, runTime: ago(-120_000) } }), /in 2 min/],
    [
      "WAITING_FOR_RETRY",
      () => waiting([], { task: { ...TASK, runTime: ago(-30_000), attemptCount: 2, failure: BROKE } }),
      /attempt 2 failed with BROKE \(it broke\); the next begins in 30 s/,
    ],
  ];

  for (const [code, reasons, summary] of cases) {
    it(`says ${code}: ${summary.source}`, () => {
      const [first, ...more] = reasons();
      assert.equal(first?.code, code);
      assert.match(first?.summary ?? "", summary);
      assert.ok(first?.remedy);
      assert.deepEqual(more, []);
    });
  }

  it("names the filter that the nearest worker got furthest through", () => {
    const [reason] = waiting([
      member({ id: "wrong-type", candidate: { types: new Map() } }),
      member({ id: "full", candidate: { credit: 0 } }),
      member({ id: "starting", candidate: { ready: false } }),
    ]);
    assert.equal(reason?.code, "ALL_SLOTS_BUSY");
    assert.ok(
      reason?.evidence.some(({ key, value }) => key === "removed_by_type" && value.includes("wrong-type")),
    );
    assert.ok(reason?.evidence.some(({ key, value }) => key === "workers_looked_at" && value === "3"));
  });
});

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
    assert.deepEqual(closest("render", ["ocr", "echo"]), []);
    assert.equal(closest("aaa", ["aab", "aac", "aad", "aae"]).length, 3);
  });
});
