/** Cases of the prose snapshot: tasks that were assigned, and tasks that ended. */
import { withLock } from "../../database/database-lock.ts";
import { limitReachedText, supersededText } from "../../tasks/limits/limited.ts";
import type { AttemptRecord, TaskRecord, TaskState } from "../../tasks/task.ts";
import type { TimelineEvent } from "../../tasks/timeline.ts";
import type { KeyHolder } from "../../tasks/unique-keys/unique-key.ts";
import type { ActiveFacts } from "../assigned/active-facts.ts";
import { heldMeanwhile } from "../outage.ts";
import type { Reason } from "../reason.ts";
import { explainActive, explainEnded } from "../task.ts";
import { ENDED_DEPENDENCY_PROSE } from "./dependency-prose.ts";
import { ago, BEAT, BROKE, held, member, NOW, running, TASK } from "./fixture.ts";
import { classOf, LOCK, SILENT } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";
import { WITHOUT_SLOTS_PROSE } from "./without-slots-prose.ts";

const REACHED = { key: "customer 17", limit: 4, taskIds: [3, 4, 5, 6] };

const HOST = { hostname: "gpu-7", pid: 4711, uid: 0, gid: 0, cwd: "/", cpus: 8, memoryBytes: 0, runtime: "" };
const RECORD = { hello: { ...member().record.hello, host: HOST }, activeCount: 1 };

const ACTIVE: TaskRecord = {
  ...TASK,
  state: "running",
  epoch: 2,
  attemptCount: 2,
  workerId: "w-1",
  assignTime: ago(50_000),
  acceptTime: ago(49_000),
  startTime: ago(48_000),
};

function active(task: Partial<TaskRecord>, facts: Partial<ActiveFacts> = {}): Reason[] {
  return explainActive({
    task: { ...ACTIVE, ...task },
    holder: member({ record: RECORD }),
    events: [],
    watch: { stuckAfterMs: 300_000, unstartedAfterMs: 30_000, phasesMs: { model_load: 40_000 } },
    acceptDeadlineMs: 5_000,
    now: NOW,
    ...facts,
  });
}

const beating = (heartbeat: Partial<typeof BEAT>) => ({
  holder: member({ record: { ...RECORD, heartbeat: { ...BEAT, ...heartbeat } } }),
});
/** A handler in a phase that has said so long ago that it will be silent for so long. */
const silent = (quietForMs: number, ageMs: number) => {
  const expectation = { quietForMs, ageMs, reason: "compiles the shaders" };
  const phase = { phase: "model_load", phaseTime: ago(150_000) };
  return active(phase, beating({ running: [{ ...running("t-7.2", "model_load", 120_000), expectation }] }));
};
const listed = (fields: Partial<ReturnType<typeof running>> = {}) => ({
  running: [{ ...running("t-7.2", "inference", 30_000), ...fields }],
});

const stuckEvent: TimelineEvent = {
  id: 1,
  time: ago(2_000),
  name: "task.load.stuck",
  epoch: 2,
  workerId: "w-1",
  attributes: { elapsed_ms: "5000", warn_after_s: "5", warning: "1", model: "whisper" },
};

export const ASSIGNED_PROSE: readonly ProseCase[] = [
  {
    code: "AWAITING_ACCEPT",
    when: "2 s ago",
    write: () => active({ state: "assigned", assignTime: ago(2_000), requeueCounts: { unaccepted: 1 } }),
  },
  { code: "AWAITING_ACCEPT", when: "the deadline is over", write: () => active({ state: "assigned" }) },
  {
    code: "AWAITING_ACCEPT",
    when: "the database is away",
    write: () => [heldMeanwhile({ ...held("t-7.2", "", 1_000), stage: "assigned" }, "w-1")],
  },
  {
    code: "AWAITING_START",
    when: "5 s ago",
    write: () => active({ startTime: undefined, acceptTime: ago(5_000) }),
  },
  { code: "AWAITING_START", when: "late", write: () => active({ startTime: undefined }) },
  {
    code: "AWAITING_START",
    when: "the database is away",
    write: () => [heldMeanwhile({ ...held("t-7.2", "", 1_000), stage: "accepted" }, "w-1")],
  },
  {
    code: "RUNNING",
    when: "with progress",
    write: () =>
      active({
        phase: "inference",
        phaseTime: ago(10_000),
        progress: { fraction: 0.5, message: "page 2", at: ago(1_000) },
      }),
  },
  { code: "RUNNING", when: "its handler expects to be silent", write: () => silent(1_800_000, 120_000) },
  {
    code: "RUNNING",
    when: "tasks wait for its slot",
    write: () => active({}, { behind: [{ taskClass: classOf(), ready: 3 }] }),
  },
  {
    code: "RUNNING",
    when: "the database is away",
    write: () => [heldMeanwhile(held("t-7.2", "load", 1_000), "w-1")],
  },
  ...WITHOUT_SLOTS_PROSE,
  {
    code: "WAITING_FOR_BATCH",
    when: "2 s in the phase batch_wait",
    write: () =>
      active(
        { phase: "batch_wait", phaseTime: ago(2_000) },
        { events: [{ ...stuckEvent, name: "task.batch_wait.started", attributes: { batch_size: "16" } }] },
      ),
  },
  {
    code: "STUCK_IN_PHASE",
    when: "its handler is silent for longer than it said",
    write: () => silent(30_000, 36_000),
  },
  {
    code: "STUCK_IN_PHASE",
    when: "by the scheduler's threshold",
    write: () => active({ phase: "model_load", phaseTime: ago(47_000) }),
  },
  {
    code: "STUCK_IN_PHASE",
    when: "by the worker's threshold",
    write: () => active({}, { events: [stuckEvent] }),
  },
  {
    code: "STUCK_IN_PHASE",
    when: "without a phase, the main loop blocked",
    write: () => active({}, beating({ loopAgeMs: 18_000, verdict: { stuck: [SILENT], unlisted: [] } })),
  },
  {
    code: "MISSING_AT_WORKER",
    when: "it is requeued soon",
    write: () =>
      active(
        {},
        beating({
          verdict: { stuck: [], unlisted: [{ taskId: 7, epoch: 2, forMs: 9_000, takenBackInMs: 25_000 }] },
        }),
      ),
  },
  {
    code: "MECHANISM_NOT_ACTING",
    when: "its worker is lost",
    write: () =>
      active(
        {},
        {
          holder: member({ state: "suspect", record: RECORD, more: { graceLeftMs: 0 } }),
          withheld: { recovery: { mode: "observe", schedulers: ["s-1", "s-2"], ageMs: 900 } },
        },
      ),
  },
  {
    code: "MECHANISM_NOT_ACTING",
    when: "it is not accepted",
    write: () =>
      active(
        { state: "assigned" },
        { withheld: { unaccepted: { mode: "off", queue: "default", schedulers: [], ageMs: 0 } } },
      ),
  },
  {
    code: "MECHANISM_NOT_ACTING",
    when: "its worker does not list it",
    write: () =>
      active(
        {},
        {
          ...beating({
            verdict: { stuck: [], unlisted: [{ taskId: 7, epoch: 2, forMs: 40_000, takenBackInMs: 0 }] },
          }),
          withheld: { forgotten: { mode: "observe", schedulers: ["s-1"], ageMs: 0 } },
        },
      ),
  },
  {
    code: "AWAITING_ACCEPT",
    when: "it is not requeued",
    write: () =>
      active(
        { state: "assigned", assignTime: ago(2_000) },
        { withheld: { unaccepted: { mode: "observe", schedulers: ["s-1"], ageMs: 0 } } },
      ),
  },
  {
    code: "LOOP_BLOCKED",
    when: "for 18 s",
    write: () => active({}, beating({ loopAgeMs: 18_000, ...listed() })),
  },
  {
    code: "WORKER_SUSPECT",
    when: "its holder",
    write: () =>
      active({}, { holder: member({ state: "suspect", record: RECORD, more: { graceLeftMs: 9_000 } }) }),
  },
  {
    code: "WORKER_SUSPECT",
    when: "its holder, after a cancellation",
    write: () =>
      active({ cancelTime: ago(1_000) }, { holder: { ...member({ record: RECORD }), state: "suspect" } }),
  },
  {
    code: "CANCELLING",
    when: "the worker received it",
    write: () =>
      active({ cancelTime: ago(5_000), cancelReason: "wrong file" }, beating(listed({ cancelling: true }))),
  },
  {
    code: "CANCELLING",
    when: "no heartbeat confirms it",
    write: () => active({ cancelTime: ago(5_000), cancelReason: "wrong file" }, beating(listed())),
  },
  {
    code: "TIMING_OUT",
    when: "the run timeout",
    write: () => active({ options: { timeouts: { runMs: 30_000 } } }, beating(listed({ cancelling: true }))),
  },
  {
    code: "TIMING_OUT",
    when: "the timeout of a phase",
    write: () =>
      active({
        phase: "inference",
        phaseTime: ago(40_000),
        options: { timeouts: { phasesMs: { inference: 30_000 } } },
      }),
  },
  {
    code: "RESULT_PENDING",
    when: "the commit is due",
    write: () => active({}, beating(listed({ resultPending: true }))),
  },
  {
    code: "RESULT_PENDING",
    when: "the commit failed",
    write: () =>
      active(
        {},
        {
          holder: member({
            record: RECORD,
            more: { held: [{ ...held("t-7.2", "", 1), heldUp: "it is full" }] },
          }),
        },
      ),
  },
  {
    code: "RESULT_PENDING",
    when: "a lock in the database",
    write: () => withLock(active({}, beating(listed({ resultPending: true }))), LOCK),
  },
  {
    code: "RESULT_PENDING",
    when: "the database is away",
    write: () => [heldMeanwhile({ ...held("t-7.2", "", 1_000), resultPending: true }, "w-1")],
  },
];

const tried = (epoch: number, outcome: string): AttemptRecord => ({
  epoch,
  number: epoch,
  workerId: `w-${epoch}`,
  outcome,
  failure: outcome === "failed" ? BROKE : undefined,
  assignTime: ago(50_000),
  acceptTime: ago(49_000),
  startTime: ago(48_000),
  endTime: ago(40_000),
});

const ended =
  (
    task: Partial<TaskRecord>,
    attempts: readonly AttemptRecord[] = [tried(1, "failed")],
    keyOwner?: KeyHolder,
  ) =>
  () => [explainEnded({ ...ACTIVE, finishTime: NOW, ...task }, attempts, keyOwner)];

/** A task that the key of an ended one belongs to. */
const owner = (id: number, state: TaskState): KeyHolder => ({
  ...{ id, state },
  rule: undefined,
  ageMs: 60_000,
  classId: 1,
});

const DEATHS = [tried(1, "requeued:exited"), tried(2, "requeued:stale")];

export const ENDED_PROSE: readonly ProseCase[] = [
  {
    code: "SUCCEEDED",
    when: "with a unique key",
    write: ended({ state: "succeeded", uniqueKey: "order-4" }, undefined, owner(ACTIVE.id, "succeeded")),
  },
  {
    code: "SUCCEEDED_WITH_WARNINGS",
    when: "one step failed",
    write: ended({ state: "succeeded", warnings: [{ step: "upload", code: "C", message: "not stored" }] }),
  },
  { code: "FAILED", when: "by the handler", write: ended({ state: "failed", failure: BROKE }) },
  {
    code: "FAILED",
    when: "its unique key is free",
    write: ended(
      { state: "failed", failure: BROKE, uniqueKey: "order-4" },
      undefined,
      owner(ACTIVE.id, "failed"),
    ),
  },
  {
    code: "FAILED",
    when: "another task holds its unique key",
    write: ended({ state: "failed", failure: BROKE, uniqueKey: "order-4" }, undefined, owner(99, "running")),
  },
  ...["RESULT_TOO_LARGE", "TIMED_OUT", "DEADLINE_BEFORE_START", "OUT_OF_MEMORY", "WORKER_LOST"].map(
    (code): ProseCase => ({
      code: "FAILED",
      when: code,
      write: ended({ state: "failed", failure: { ...BROKE, code } }),
    }),
  ),
  {
    code: "POISONED",
    when: "three processes died",
    write: ended({ state: "failed", detail: "POISONED", failure: BROKE, epoch: 3, workerId: "w-3" }, DEATHS),
  },
  {
    code: "BUDGET_EXHAUSTED",
    when: "its handler asked for more",
    write: ended({
      ...{ state: "failed", detail: "BUDGET_EXHAUSTED", options: { maxIterations: 10, iterations: 10 } },
      failure: { ...BROKE, code: "BUDGET_EXHAUSTED", message: "Iteration 11 is beyond the budget of 10." },
    }),
  },
  {
    code: "BUDGET_EXHAUSTED",
    when: "its worker was lost in the last iteration",
    write: ended({
      ...{ state: "failed", detail: "BUDGET_EXHAUSTED", options: { maxIterations: 10, iterations: 10 } },
      failure: BROKE,
    }),
  },
  {
    code: "RETRIES_EXHAUSTED",
    when: "by failures",
    write: ended({ state: "failed", detail: "RETRIES_EXHAUSTED", failure: BROKE }),
  },
  {
    code: "RETRIES_EXHAUSTED",
    when: "by failures and lack of memory",
    write: ended({ state: "failed", detail: "RETRIES_EXHAUSTED", failure: BROKE, outOfMemoryCount: 3 }),
  },
  {
    code: "CANCELLED",
    when: "by a caller",
    write: ended({ state: "cancelled", cancelReason: "wrong file" }),
  },
  {
    code: "CANCELLED",
    when: "by a caller, after a retry of a task that a concurrency key had ended",
    write: ended({
      state: "cancelled",
      cancelReason: "wrong file",
      options: { limited: { kind: "superseded", key: "site-4", by: 9 } },
    }),
  },
  {
    code: "CONCURRENCY_LIMIT_REACHED",
    when: "by several tasks",
    write: ended({
      state: "cancelled",
      cancelReason: limitReachedText(REACHED),
      options: { limited: { kind: "refused", ...REACHED } },
    }),
  },
  {
    code: "SUPERSEDED",
    when: "by a newer task",
    write: ended({
      state: "cancelled",
      cancelReason: supersededText("site-4", 9),
      options: { limited: { kind: "superseded", key: "site-4", by: 9 } },
    }),
  },
  ...ENDED_DEPENDENCY_PROSE,
];
