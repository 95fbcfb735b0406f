import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { create, type Message, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Explanation,
  ExplanationSchema,
  QueueSchema,
  ReasonSchema,
  WorkerSchema,
} from "@muster/protocol";
import type { Kind, Look, SaidCheck } from "./context.ts";
import { contradictionsIn } from "./contradictions.ts";
import type { Facts, QueueFact, SessionFact, TaskFact } from "./facts.ts";
import { readCommands } from "./words.ts";

const NOW = Date.parse("2025-06-01T12:00:00Z");
const ago = (ms: number) => NOW - ms;

const RUNNING: TaskFact = {
  id: "t-1",
  state: "running",
  queue: "default",
  type: "ocr",
  epoch: 2,
  sessionId: 1,
  workerId: "w-1",
  cancelled: false,
  createMs: ago(60_000),
  wakeMs: null,
  assignMs: ago(30_000),
  acceptMs: ago(29_000),
  startMs: ago(28_000),
  cancelMs: null,
  finishMs: null,
  returnedMs: ago(40_000),
  failureCode: null,
};
const QUEUED: TaskFact = {
  ...RUNNING,
  ...{ state: "queued", sessionId: null, workerId: null, assignMs: null, acceptMs: null, startMs: null },
};
const SESSION: SessionFact = {
  sessionId: 1,
  workerId: "w-1",
  schedulerId: "s",
  pid: 7,
  hostname: "here",
  sdk: "",
  connectMs: ago(50_000),
  heartbeatMs: ago(100),
  leaseUntilMs: NOW + 1_000,
  disconnected: false,
  goneMs: null,
  goneReason: null,
};
const QUEUE: QueueFact = { name: "default", pauseMs: null, ready: 0, scheduled: 0, active: 1 };

type SaidReason = Partial<Exclude<MessageInitShape<typeof ReasonSchema>, Message>>;

function said(state: string, reason: SaidReason): Explanation {
  const base = { code: "RUNNING", summary: "it runs", remedy: "nothing to do" };
  return create(ExplanationSchema, {
    subject: "x",
    state,
    reasons: [create(ReasonSchema, { ...base, ...reason })],
  });
}

function at(ms: number) {
  return { seconds: BigInt(Math.floor(ms / 1_000)), nanos: (ms % 1_000) * 1e6 };
}

interface Scene {
  readonly task?: TaskFact;
  readonly session?: SessionFact;
  readonly queue?: QueueFact;
  readonly before?: Partial<Facts>;
  readonly look?: Partial<Look>;
  readonly ofTask?: Explanation;
  readonly ofWorker?: Explanation;
  readonly ofQueue?: Explanation;
  readonly check?: Partial<SaidCheck>;
}

function kinds(scene: Scene): Kind[] {
  const { task = RUNNING, session = SESSION, queue = QUEUE, ofTask, ofWorker, ofQueue, check } = scene;
  const facts: Facts = {
    now: NOW,
    tasks: [task],
    sessions: [session],
    queues: [queue],
    otherWorkers: [],
    pools: [],
  };
  const base = { name: "work.paused", ok: true, summary: "", remedy: "", evidence: [] };
  const found = contradictionsIn({
    before: { ...facts, ...scene.before },
    after: facts,
    processes: new Map([[1, "runs"]]),
    tasks: new Map(ofTask ? [["t-1", ofTask]] : []),
    workers: new Map(ofWorker ? [["w-1", ofWorker]] : []),
    queues: new Map(ofQueue ? [["default", ofQueue]] : []),
    listedQueues: [],
    listedWorkers: [],
    checks: check ? [{ ...base, ...check }] : [],
    called: new Set(["t-1.2"]),
    noting: new Set(["w-1"]),
    commands: readCommands(),
    settleMs: 400,
    ...scene.look,
  });
  return [...new Set(found.map(({ kind }) => kind))];
}

describe("the truth check", () => {
  it("finds nothing wrong with what is true", () => {
    const since = at(ago(28_000));
    assert.deepEqual(
      kinds({
        ofTask: said("running", { since, evidence: [{ key: "worker", value: "w-1", source: "database" }] }),
        ofWorker: said("ready", { code: "BUSY", summary: "it runs 1 attempt in 2 slots" }),
        ofQueue: said("empty", { code: "IDLE_NO_WORK", remedy: "nothing to do" }),
        check: { summary: "no queue is paused" },
      }),
      [],
    );
  });

  const task: readonly (readonly [Kind, string, Explanation, Scene?])[] = [
    ["state", "a state that the row does not have", said("queued", {})],
    ["code", "a waiting code of a running task", said("running", { code: "NO_WORKERS" })],
    ["code", "a running code of a waiting task", said("queued", {}), { task: QUEUED }],
    ["started", "a task that has not started", said("running", {}), { task: { ...RUNNING, startMs: null } }],
    ["started", "a handler that nothing called", said("running", {}), { look: { called: new Set() } }],
    [
      "holder",
      "another worker",
      said("running", { evidence: [{ key: "worker", value: "w-2", source: "database" }] }),
    ],
    [
      "holder",
      "another attempt",
      said("running", { evidence: [{ key: "attempt", value: "t-1.1", source: "database" }] }),
    ],
    ["since", "another start", said("running", { since: at(ago(20_000)) })],
    ["since", "the future", said("running", { code: "STUCK_IN_PHASE", since: at(NOW + 5_000) })],
    [
      "since",
      "the time before its last attempt",
      said("queued", { code: "ALL_SLOTS_BUSY", since: at(ago(50_000)) }),
      { task: QUEUED },
    ],
    [
      "since",
      "the time before its assignment",
      said("running", { code: "STUCK_IN_PHASE", since: at(ago(31_000)) }),
    ],
    [
      "process",
      "a holder whose lease is over",
      said("running", {}),
      { session: { ...SESSION, leaseUntilMs: ago(2_000) } },
    ],
    [
      "age",
      "a heartbeat without its age",
      said("running", { evidence: [{ key: "phase", value: "x", source: "heartbeat" }] }),
    ],
    [
      "words",
      "a fact without its source",
      said("running", { evidence: [{ key: "phase", value: "x", source: "" }] }),
    ],
    ["words", "a slip", said("running", { summary: "it waits for undefined" })],
    ["plural", "1 workers", said("running", { summary: "it waits for 1 workers" })],
    ["plural", "1 task wait", said("running", { summary: "1 task wait for it" })],
    ["plural", "1 are", said("running", { summary: "2 workers answer, 1 are ready" })],
    ["plural", "2 worker", said("running", { summary: "2 worker answer" })],
    ["command", "a command that does not exist", said("running", { remedy: "muster explain t-1" })],
    ["command", "an option that does not exist", said("running", { remedy: "raise --stick-after" })],
    ["command", "a task that does not exist", said("running", { remedy: "muster why t-9" })],
    ["command", "a worker that does not exist", said("running", { remedy: "muster why unknown" })],
    ["command", "a queue that does not exist", said("running", { remedy: "muster queue resume nope" })],
    [
      "command",
      "a cancellation of what has ended",
      said("succeeded", { code: "SUCCEEDED", remedy: "muster cancel t-1" }),
      { task: { ...RUNNING, state: "succeeded", finishMs: ago(1_000) } },
    ],
    [
      "nothing-to-do",
      "nothing to do where nothing happens by itself",
      said("queued", { code: "NO_WORKER_FOR_TYPE" }),
      { task: QUEUED },
    ],
  ];
  for (const [kind, what, ofTask, scene] of task) {
    it(`finds ${what}, said of a task [${kind}]`, () => {
      assert.ok(kinds({ ...scene, ofTask }).includes(kind), kinds({ ...scene, ofTask }).join());
    });
  }

  const gone = { ...SESSION, goneMs: ago(1_000), goneReason: "lost", leaseUntilMs: null };
  const worker: readonly (readonly [Kind, string, Explanation, Scene?])[] = [
    ["state", "a living worker that has ended", said("ready", { code: "BUSY" }), { session: gone }],
    ["state", "an end of a living worker", said("lost", { code: "LOST" })],
    ["holds", "idle beside what it holds", said("ready", { code: "IDLE_NO_WORK" })],
    ["count", "another count", said("ready", { code: "BUSY", summary: "it runs 3 attempts in 4 slots" })],
    [
      "since",
      "idle since before it connected",
      said("ready", { code: "IDLE_NO_WORK", since: at(ago(90_000)) }),
    ],
    [
      "process",
      "well beyond its lease while its process is gone",
      said("ready", { code: "BUSY" }),
      {
        session: { ...SESSION, leaseUntilMs: ago(2_000) },
        look: { processes: new Map([[1, "ended"]]) },
      },
    ],
  ];
  for (const [kind, what, ofWorker, scene] of worker) {
    it(`finds ${what}, said of a worker [${kind}]`, () => {
      assert.ok(kinds({ ...scene, ofWorker }).includes(kind), kinds({ ...scene, ofWorker }).join());
    });
  }

  it("finds wrong counts and states of queues, and of the doctor's checks", () => {
    const waiting = { ...QUEUE, ready: 3 };
    const old = { ...RUNNING, createMs: ago(60_000) };
    assert.deepEqual(kinds({ queue: waiting, task: old, ofQueue: said("empty", { code: "IDLE_NO_WORK" }) }), [
      "count",
    ]);
    assert.deepEqual(kinds({ ofQueue: said("paused", { code: "IDLE_NO_WORK" }) }), ["state"]);
    const listed = create(QueueSchema, { name: "default", readyCount: 1n, activeCount: 1n });
    assert.deepEqual(kinds({ look: { listedQueues: [listed] } }), ["count"]);
    // A task that began and ended during the look may be in what was said.
    const brief = { ...RUNNING, id: "t-2", state: "succeeded", createMs: NOW + 1, finishMs: NOW + 2 };
    const after = {
      now: NOW + 10,
      tasks: [RUNNING, brief],
      sessions: [SESSION],
      queues: [QUEUE],
      otherWorkers: [],
      pools: [],
    };
    assert.deepEqual(kinds({ look: { listedQueues: [listed], after } }), []);
    const idle = create(WorkerSchema, { id: "w-1", activeCount: 0 });
    assert.deepEqual(kinds({ look: { listedWorkers: [idle] } }), ["count"]);
    const paused = create(QueueSchema, { name: "default", paused: true, activeCount: 1n });
    assert.deepEqual(kinds({ look: { listedQueues: [paused] } }), ["state"]);
    assert.deepEqual(kinds({ check: { ok: false, summary: "2 queues are paused: a (b) for 3 s" } }), [
      "count",
    ]);
    const down = { name: "database.reachable", ok: false, summary: "DATABASE_UNAVAILABLE: gone" };
    assert.deepEqual(kinds({ check: down }), ["state"]);
  });

  it("judges nothing that changed meanwhile", () => {
    const before = { tasks: [{ ...RUNNING, state: "assigned" }] };
    assert.deepEqual(kinds({ before, ofTask: said("assigned", { code: "AWAITING_ACCEPT" }) }), []);
    const freshly = { ...RUNNING, assignMs: ago(100) };
    assert.deepEqual(kinds({ task: freshly, ofWorker: said("ready", { code: "IDLE_NO_WORK" }) }), []);
  });

  it("reads the commands that there are", async () => {
    const { createProgram } = await import("../../../cli/src/program.ts");
    const { processIo } = await import("../../../cli/src/io/io.ts");
    const program = await createProgram(
      ["queue", "worker", "limit", "rate-limit", "key", "circuit", "schedule", "batch", "fairness", "pool"],
      processIo({}),
      () => undefined,
    );
    const real = program.commands.flatMap((command) => [
      command.name(),
      ...command.commands.map((sub) => `${command.name()} ${sub.name()}`),
    ]);
    const { names } = readCommands();
    assert.deepEqual(
      real.filter((name) => name !== "help" && !names.has(name)),
      [],
    );
    assert.deepEqual(
      [...names].filter(
        (name) =>
          !name.includes(" ") && !real.includes(name) && !real.some((each) => each.endsWith(` ${name}`)),
      ),
      [],
    );
  });
});
