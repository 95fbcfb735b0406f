/** Cases of the prose snapshot: workers. */
import { ownPauseReason, pauseInWords } from "../../workers/operator-pause.ts";
import { NO_CLAIMS, type RejectedWorker } from "../../workers/rejected-worker.ts";
import type { WorkerRecord } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";
import { databaseUnavailable } from "../outage.ts";
import { explainContest } from "../workers/contested.ts";
import { killRequested } from "../workers/kill-requested.ts";
import { explainExit, explainLaunching, explainSilence } from "../workers/launch.ts";
import { machineEnds } from "../workers/machine-ends.ts";
import { explainRejections } from "../workers/rejected.ts";
import { explainGone, explainLiving } from "../workers/worker.ts";
import { ago, BEAT, held, member, NOW, QUARANTINE, running, TASK } from "./fixture.ts";
import { classOf, ended, launch, OUTAGE, rejected } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const HOST = { hostname: "gpu-7", pid: 4711, uid: 0, gid: 0, cwd: "/", cpus: 8, memoryBytes: 0, runtime: "" };
const HELLO = { ...member().record.hello, host: HOST };
const PHASES = [
  { phase: "boot", outcome: "ok", elapsedMs: 1_000, detail: "", attributes: { scheduler_addr: "s:7070" } },
];

type Options = NonNullable<Parameters<typeof member>[0]>;

const living = (options: Options, ready = 0, requirements = TASK.requirements) => {
  const record = { connectTime: ago(60_000), hello: HELLO, phases: PHASES, ...options.record };
  const taskClass = classOf({ ...TASK, requirements });
  return explainLiving(member({ ...options, record }), [{ taskClass, ready }], NOW);
};

const PRESSED = {
  ...BEAT,
  paused: true,
  pauseReason: "memory: 97 % of 2.0 GiB in use (pauses at 90 %, goes on at 70 %); the licence server is full",
  pressures: [
    { measure: "memory", detail: "", value: 0.9712, high: 0.9, low: 0.7, ageMs: 12_000 },
    { measure: "probe", detail: "", value: 0, high: 0, low: 0, ageMs: 3_000 },
  ],
};

const byOperator = (heartbeat = BEAT): Options => {
  const operatorPause = { reason: "new driver (by ada)", since: ago(90_000) };
  return {
    record: { operatorPause, heartbeat },
    candidate: { pauseReason: pauseInWords(ownPauseReason(heartbeat, operatorPause), operatorPause) },
  };
};

const holding = (...attempts: FleetMember["held"]) => ({ more: { held: attempts } });

const gone = (goneReason: string, fields: Partial<WorkerRecord> = {}): WorkerRecord =>
  member({ record: { goneTime: ago(60_000), goneReason, hello: HELLO, sessionUuid: "u-1", ...fields } })
    .record;

const NOTICE = { source: "aws", event: "terminate", detail: "", receivedAfterMs: 500 };

const KILL = {
  ...{ number: 1, reason: "hangs (by ada)", graceMs: 10_000, restart: false },
  time: ago(3_000),
};

const FATAL = {
  phase: "startup",
  exceptionClass: "TypeError",
  exceptionMessage: "no model",
  traceback: "at load (model.js:3)",
  exitCode: 1,
};

const exited =
  (goneReason: string, end: ReturnType<typeof ended>, fields: Partial<WorkerRecord> = {}) =>
  () =>
    explainExit(gone(goneReason, { launch: launch({ end, phases: PHASES }), ...fields }), NOW) ?? [];

const unregistered = { hello: { ...HELLO, types: [] }, sessionUuid: "" };

const refused = (fields: Partial<RejectedWorker>) => () =>
  explainRejections(
    [
      rejected({
        workerId: "w-1",
        claims: { ...NO_CLAIMS, protocolVersion: 2, types: ["ocr"] },
        ...fields,
      }),
    ],
    NOW,
  );

const contest = (waits: boolean) => () => [
  explainContest(
    {
      workerId: "w-1",
      holder: { hostname: "gpu-7", pid: 17 },
      other: { hostname: "gpu-8", pid: 23 },
      waits,
      askedTime: ago(3_000),
      takeovers: 3,
    },
    NOW,
  ),
];

const asked = (state?: { state: "failed"; ageMs: number; failures: number; error: string }) => ({
  more: {
    asks: new Map([
      ["model:x", { askedAgeMs: 20_000, askCount: 2, state: state && { resource: "model:x", ...state } }],
    ]),
  },
});

const stuck = {
  taskId: 7,
  epoch: 2,
  phase: "model_load",
  elapsedMs: 61_000,
  stillMs: 61_000,
  warnAfterMs: 60_000,
  by: "scheduler" as const,
};
const verdict = { stuck: [stuck], unlisted: [{ taskId: 9, epoch: 1, forMs: 9_000, takenBackInMs: 25_000 }] };

const idle =
  (candidate: NonNullable<Options["candidate"]>, requirements = TASK.requirements) =>
  () =>
    living({ candidate }, 3, requirements);

export const WORKER_PROSE: readonly ProseCase[] = [
  {
    code: "WAITING_FOR_CONNECTION",
    when: "10 s after its start",
    write: () => [explainLaunching(launch(), NOW, 30_000)],
  },
  {
    code: "WAITING_FOR_CONNECTION",
    when: "its last dial failed, its supervisor is silent",
    write: () => [
      explainLaunching(launch({ lastError: "ECONNREFUSED s:7070", reportTime: ago(45_000) }), NOW, 30_000),
    ],
  },
  {
    code: "LAUNCH_FAILED",
    when: "the command could not be started",
    write: exited("launch_failed", ended("launch_failed", { startError: "ENOENT" })),
  },
  {
    code: "LAUNCH_FAILED",
    when: "it exited",
    write: exited("launch_failed", ended("launch_failed"), unregistered),
  },
  {
    code: "STARTUP_TIMEOUT",
    when: "it still runs",
    write: () => [explainLaunching(launch({ launchTime: ago(100_000) }), NOW, 30_000)],
  },
  { code: "STARTUP_TIMEOUT", when: "it exited", write: exited("startup_timeout", ended("startup_timeout")) },
  { code: "STARTING", when: "its startup is not finished", write: () => living({ state: "registered" }) },
  { code: "IDLE_NO_WORK", when: "for 5 s", write: () => living({}) },
  {
    code: "IDLE_NO_WORK",
    when: "its heartbeats are late, it does not read",
    write: () => living({ record: { heartbeatTime: ago(14_000) }, more: { unreadCount: 3 } }),
  },
  { code: "IDLE_NOT_ELIGIBLE", when: "type", write: idle({ types: new Map() }) },
  { code: "IDLE_NOT_ELIGIBLE", when: "queue", write: idle({ queues: new Set(["night"]) }) },
  { code: "IDLE_NOT_ELIGIBLE", when: "labels", write: idle({}, { labels: { gpu: "a100" }, resources: [] }) },
  {
    code: "IDLE_NOT_ELIGIBLE",
    when: "capacity",
    write: idle({}, { labels: {}, resources: [], cost: [{ name: "gpu_memory_mb", amount: 8_000 }] }),
  },
  { code: "IDLE_NOT_ELIGIBLE", when: "resources", write: idle({}, { labels: {}, resources: ["model:x"] }) },
  {
    code: "IDLE_NOT_ELIGIBLE",
    when: "slots",
    write: idle({ types: new Map([["ocr", { limit: 1, active: 1 }]]) }),
  },
  { code: "IDLE_NOT_ELIGIBLE", when: "alone", write: idle({ runsAlone: true }) },
  { code: "IDLE_NOT_ELIGIBLE", when: "unanswered", write: () => living({ more: { stalledMs: 9_000 } }, 3) },
  {
    code: "IDLE_NOT_ELIGIBLE",
    when: "a paused queue",
    write: () => explainLiving(member(), [{ taskClass: classOf(), ready: 3, queuePaused: true }], NOW),
  },
  { code: "DISPATCH_DELAYED", when: "a task waits that it may run", write: () => living({}, 2) },
  { code: "RESOURCE_NOT_LOADED", when: "it was asked", write: () => living(asked()) },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "loading failed",
    write: () => living(asked({ state: "failed", ageMs: 3_000, failures: 2, error: "no memory left" })),
  },
  { code: "DATABASE_UNAVAILABLE", when: "unreachable", write: () => [databaseUnavailable(OUTAGE)] },
  { code: "BUSY", when: "all run", write: () => living(holding(held("t-3.1", "load", 5_000))) },
  {
    code: "BUSY",
    when: "in every stage",
    write: () =>
      living(
        holding(
          { ...held("t-3.1", "load", 5_000), stage: "started" },
          { ...held("t-4.1", "", 5_000), stage: "accepted" },
          { ...held("t-5.1", "", 5_000), stage: "assigned" },
          { ...held("t-6.1", "", 5_000), ageMs: 1_000, stage: "accepted" },
          { ...held("t-8.1", "", 5_000), resultPending: true },
        ),
      ),
  },
  {
    code: "REVOKED_RUNNING",
    when: "one handler",
    write: () =>
      living(holding({ ...held("t-3.1", "", 90_000), revoked: { forMs: 60_000, reason: "requeued:stale" } })),
  },
  {
    code: "STUCK_IN_PHASE",
    when: "an attempt",
    write: () => living({ record: { heartbeat: { ...BEAT, verdict } } }),
  },
  {
    code: "MISSING_AT_WORKER",
    when: "an attempt",
    write: () => living({ record: { heartbeat: { ...BEAT, verdict } } }),
  },
  {
    code: "LOOP_BLOCKED",
    when: "in an attempt",
    write: () =>
      living({
        record: {
          heartbeat: {
            ...BEAT,
            loopAgeMs: 20_000,
            mainStack: {
              frames: ["parse (file:///app/parse.js:12:7)", "handler (file:///app/worker.js:3:1)"],
              ageMs: 15_000,
              blockedMs: 5_000,
            },
            running: [running("t-3.1", "load", 5_000)],
          },
        },
        ...holding(held("t-3.1", "load", 5_000)),
      }),
  },
  {
    code: "LOOP_BLOCKED",
    when: "by its interpreter",
    write: () => living({ record: { heartbeat: { ...BEAT, loopAgeMs: 20_000, blockedBy: "interpreter" } } }),
  },
  {
    code: "PAUSED",
    when: "by memory",
    write: () => living({ candidate: { pauseReason: "memory: 97 % used" } }),
  },
  {
    code: "PAUSED",
    when: "it holds an attempt",
    write: () =>
      living({ candidate: { pauseReason: "memory: 97 % used" }, ...holding(held("t-3.1", "", 5_000)) }),
  },
  {
    code: "PAUSED",
    when: "by measures of its own",
    write: () => living({ record: { heartbeat: PRESSED }, candidate: { pauseReason: PRESSED.pauseReason } }),
  },
  {
    code: "PAUSED",
    when: "by an operator",
    write: () => living(byOperator()),
  },
  {
    code: "PAUSED",
    when: "by an operator and by itself",
    write: () => living(byOperator({ ...BEAT, paused: true, pauseReason: "memory: 97 % used" })),
  },
  {
    code: "QUARANTINED",
    when: "its first probe is not due",
    write: () => living({ record: { quarantine: QUARANTINE } }),
  },
  {
    code: "QUARANTINED",
    when: "it runs a probe after others failed",
    write: () =>
      living({
        record: { quarantine: { ...QUARANTINE, failedProbes: 3, probeTime: ago(1_000) } },
        ...holding(held("t-9.1", "", 500)),
      }),
  },
  { code: "DRAINING", when: "it holds nothing", write: () => living({ state: "draining" }) },
  {
    code: "DRAINING",
    when: "it holds an attempt",
    write: () => living({ state: "draining", ...holding(held("t-3.1", "load", 5_000)) }),
  },
  {
    code: "SUSPECT",
    when: "its heartbeats stopped",
    write: () => living({ state: "suspect", record: { launch: launch() } }),
  },
  {
    code: "SUSPECT",
    when: "its stream dropped",
    write: () => living({ state: "suspect", record: { disconnected: true } }),
  },
  {
    code: "MECHANISM_NOT_ACTING",
    when: "its grace is over",
    write: () =>
      explainLiving(
        member({ state: "suspect", record: { hello: HELLO }, more: { graceLeftMs: 0 } }),
        [],
        NOW,
        {
          recovery: { mode: "observe", schedulers: ["s-1"], ageMs: 0 },
        },
      ),
  },
  {
    code: "LOST",
    when: "lease and grace expired",
    write: () => [explainGone(gone("lost"), { silentMs: 65_000, held: "t-3.1" })],
  },
  {
    code: "LOST",
    when: "its supervisor is silent",
    write: () =>
      explainSilence(
        gone("lost", { ...unregistered, launch: launch({ end: { ...ended("lost"), exit: undefined } }) }),
        NOW,
      ) ?? [],
  },
  {
    code: "FATAL",
    when: "without a supervisor",
    write: () => [explainGone(gone("fatal", { fatal: FATAL }), { silentMs: 500, held: "" })],
  },
  { code: "FATAL", when: "supervised", write: exited("fatal", ended("fatal"), { fatal: FATAL }) },
  { code: "ID_CONTESTED", when: "one waits", write: contest(true) },
  { code: "ID_CONTESTED", when: "one was replaced", write: contest(false) },
  { code: "SUPERSEDED", when: "by a newer process", write: () => [explainGone(gone("superseded"))] },
  { code: "KILLED", when: "by SIGKILL", write: exited("killed", ended("killed", { signal: "SIGKILL" })) },
  {
    code: "KILLED",
    when: "and is started again",
    write: exited("killed", { ...ended("killed", { signal: "SIGKILL" }), restartTime: ago(-4_000) }),
  },
  {
    code: "OOM_KILLED",
    when: "by its cgroup",
    write: exited(
      "oom_killed",
      ended("oom_killed", { outOfMemory: true, outOfMemoryEvidence: "cgroup oom_kill 0 -> 1" }),
    ),
  },
  { code: "EXITED", when: "without a supervisor", write: () => [explainGone(gone("finished"))] },
  {
    code: "EXITED",
    when: "normally",
    write: exited("finished", ended("finished", { exitCode: 0 })),
  },
  { code: "EXITED", when: "with a code", write: exited("fatal", ended("fatal")) },
  { code: "BAD_TOKEN", when: "never registered", write: refused({}) },
  {
    code: "BAD_TOKEN",
    when: "another process of its id is registered",
    write: refused({ holder: "another" }),
  },
  { code: "BAD_TOKEN", when: "after it lost its stream", write: refused({ holder: "itself" }) },
  { code: "VERSION_MISMATCH", when: "the worker is older", write: refused({ code: "VERSION_MISMATCH" }) },
  {
    code: "VERSION_MISMATCH",
    when: "the scheduler is older",
    write: refused({ code: "VERSION_MISMATCH", claims: { ...NO_CLAIMS, protocolVersion: 4 } }),
  },
  { code: "INVALID_HELLO", when: "never registered", write: refused({ code: "INVALID_HELLO" }) },
  { code: "HELLO_TIMEOUT", when: "never registered", write: refused({ code: "HELLO_TIMEOUT" }) },
  {
    code: "KILL_REQUESTED",
    when: "its supervisor is to end it",
    write: () => killRequested(launch({ stop: KILL, reportTime: ago(1_000) }), NOW),
  },
  ...[60_000, 1_000, undefined].map((endAfterMs) => ({
    code: "MACHINE_ENDS" as const,
    when:
      endAfterMs === undefined
        ? "an advice"
        : endAfterMs > 10_000
          ? "there is time left"
          : "its time is over",
    write: () => machineEnds(launch({ notice: { ...NOTICE, ...(endAfterMs ? { endAfterMs } : {}) } }), NOW),
  })),
];
