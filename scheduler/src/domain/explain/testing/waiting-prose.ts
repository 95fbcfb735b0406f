/** Cases of the prose snapshot: tasks that wait. */
import { withLock } from "../../database/database-lock.ts";
import { workerLost } from "../../tasks/outcome.ts";
import { queueRateKey } from "../../tasks/rate-limit.ts";
import { DEFAULT_RETRY_POLICY } from "../../tasks/retry.ts";
import { resolveRetry } from "../../tasks/retry-defaults.ts";
import type { DispatchFacts } from "../delayed.ts";
import type { FleetMember } from "../fleet.ts";
import { databaseUnavailable } from "../outage.ts";
import { queueFull } from "../queue-full.ts";
import type { Reason } from "../reason.ts";
import { withRejected } from "../rejected.ts";
import { withLaunches } from "../starting.ts";
import { CAPACITY_PROSE } from "./capacity-prose.ts";
import { CIRCUIT_PROSE } from "./circuit-prose.ts";
import { WAITING_DEPENDENCY_PROSE } from "./dependency-prose.ts";
import { ago, BROKE, held, member, NOW, QUARANTINE, TASK } from "./fixture.ts";
import { DISPATCH, ended, launch, rejected, waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

/** A lock of another session. */
export const LOCK = {
  waitingCount: 2,
  waitMs: 4_000,
  holder: { pid: 4711, application: "psql", state: "idle in transaction", ageMs: 60_000 },
};

/** A database that is away. */
export const OUTAGE = {
  since: ago(12_000),
  awayMs: 12_000,
  error: "connect ECONNREFUSED 10.0.0.5:5432",
  condition: "unreachable",
  lock: undefined,
  runningCount: 3,
  workerCount: 2,
  waitingCount: 40,
} as const;

const delayed = (fleet: readonly FleetMember[], facts: Partial<DispatchFacts>, task = TASK) =>
  waiting(fleet, { task, dispatch: { ...DISPATCH, ...facts } });

const wants = (requirements: Partial<typeof TASK.requirements>) => ({
  task: { ...TASK, requirements: { labels: {}, resources: [], ...requirements } },
});

const full = (more: Partial<FleetMember> = {}) => member({ candidate: { credit: 0 }, more });

const attempt = (outcome: string, endMs: number) => ({
  epoch: 2,
  number: 2,
  workerId: "w-1",
  outcome,
  failure: undefined,
  assignTime: ago(endMs + 9_000),
  acceptTime: undefined,
  startTime: undefined,
  endTime: ago(endMs),
});

const ALONE = { queue: { name: "default", weight: 1, others: [], otherCount: 0, otherWeight: 0 } };

const TURN = {
  queue: {
    ...{ name: "default", weight: 1, otherCount: 7, otherWeight: 11 },
    others: [
      { name: "bulk", weight: 3 },
      { name: "nightly", weight: 2 },
    ],
  },
  next: { queue: "bulk", key: "" },
};

const HOLD = { reason: "the input is checked again (by ada)", since: ago(60_000) };

const unaccepted = {
  lastAttempt: attempt("requeued:unaccepted", 4_000),
  task: { ...TASK, runTime: ago(-4_000), requeueCounts: { unaccepted: 2 } },
};

const elsewhere = member({ record: { schedulerId: "s-2" }, more: { elsewhere: true, ageMs: 300 } });
const gone = member({ id: "w-0", record: { goneTime: ago(180_000), goneReason: "lost" } }).record;
const served = (queue: string) => [{ workerId: "w-9", pool: "", types: ["ocr"], queues: [queue] }];
const asking = (state?: { state: "loading" | "failed"; ageMs: number; failures: number; error: string }) => ({
  record: {
    ...member().record,
    hello: { ...member().record.hello, features: ["prepare_resource"] },
  },
  asks: new Map([
    ["model:x", { askedAgeMs: 20_000, askCount: 2, state: state && { resource: "model:x", ...state } }],
  ]),
});

const holder = (taskId: number) => ({
  ...{ key: "customer-17", taskId, epoch: 1, type: "ocr", queue: "default", workerId: `w-${taskId}` },
  since: ago(12_000),
});

const asks = (held: number, limit: number, override?: number) => ({
  keys: {
    fullSince: ago(5_000),
    behindSince: undefined,
    asked: [
      {
        ...{ key: "customer-17", limit, held },
        override:
          override === undefined
            ? undefined
            : { limit: override, reason: "their API is overloaded (by ada)", time: ago(300_000) },
        holders: [7, 8, 9, 10].slice(0, held).map(holder),
      },
    ],
  },
});

const BEHIND = {
  keys: {
    fullSince: undefined,
    behindSince: ago(5_000),
    asked: [
      {
        ...{ key: "order-17", limit: 1, held: 0, override: undefined, holders: [] },
        older: {
          ...{ id: 17, type: "order.change", queue: "orders", code: "QUEUE_PAUSED" },
          summary: "queue orders has been paused for 5 min: a migration (by ada)",
          remedy: "run `muster queue resume orders` when the reason is gone",
          since: ago(300_000),
        },
      },
    ],
  },
};

const limits = (burst: number, override?: string, key = "smtp") => {
  const own = { limit: 100, periodMs: 60_000, burst };
  const bucket = { ...own, overrides: override !== undefined, pausedMs: 0, debtMs: burst * 600 - 260 };
  const set = override === undefined ? undefined : { reason: override, time: ago(300_000) };
  return {
    rates: {
      emptySince: ago(2_000),
      asked: [
        {
          key,
          own,
          state: { key, buckets: [bucket], override: set, pause: undefined },
          waiting: override ? 0 : 40,
        },
      ],
    },
  };
};

const pausedKey = (by: string | undefined, reason: string) => {
  const pause = { until: ago(-42_000), leftMs: 42_000, reason, by, time: ago(18_000) };
  const state = { key: "smtp", buckets: [], override: undefined, pause };
  const own = { limit: 100, periodMs: 60_000, burst: 10 };
  return { rates: { emptySince: undefined, asked: [{ key: "smtp", own, state, waiting: 3 }] } };
};

const starts = (facts: Partial<Parameters<typeof withLaunches>[2]>): Reason[] =>
  withLaunches(waiting([]), TASK, { launching: [], failed: [], served: [], ...facts }, NOW);

export const WAITING_PROSE: readonly ProseCase[] = [
  ...CIRCUIT_PROSE,
  ...WAITING_DEPENDENCY_PROSE,
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "one task holds its key",
    write: () => waiting([member()], asks(1, 1)),
  },
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "more tasks hold its key than are named, by an operator's limit",
    write: () => waiting([member()], asks(5, 9, 4)),
  },
  {
    code: "CONCURRENCY_KEY_HELD",
    when: "an operator set the limit of its key to 0",
    write: () => waiting([member()], asks(0, 2, 0)),
  },
  {
    code: "OLDER_TASK_FIRST",
    when: "the older task waits in a paused queue",
    write: () => waiting([member()], BEHIND),
  },
  {
    code: "RATE_LIMITED",
    when: "others wait for the same tokens",
    write: () => waiting([member()], limits(20)),
  },
  {
    code: "RATE_LIMITED",
    when: "by an operator's rate",
    write: () => waiting([member()], limits(1, "the provider complained (by ada)")),
  },
  {
    code: "KEY_PAUSED",
    when: "a handler asked for it",
    write: () => waiting([member()], pausedKey("t-7.1 on mail-3", "HTTP 429")),
  },
  {
    code: "KEY_PAUSED",
    when: "an operator asked for it",
    write: () => waiting([member()], pausedKey(undefined, "they do maintenance (by ada)")),
  },
  {
    code: "RATE_LIMITED",
    when: "by the rate of its queue",
    write: () => waiting([member()], limits(10, "disk is slow (by ada)", queueRateKey("nightly"))),
  },
  {
    code: "TASK_HELD",
    when: "it is ready",
    write: () => waiting([member()], { task: { ...TASK, hold: HOLD } }),
  },
  {
    code: "TASK_HELD",
    when: "it has a start time and a queue timeout",
    write: () =>
      waiting([], {
        task: {
          ...TASK,
          hold: HOLD,
          runTime: ago(-120_000),
          options: { timeouts: { queueWaitMs: 7_200_000 } },
        },
      }),
  },
  {
    code: "TASK_HELD",
    when: "it waits for another task",
    write: () =>
      waiting([member()], {
        task: { ...TASK, hold: HOLD, waitsForTasks: true },
        predecessors: [
          {
            ...{ taskId: 3, condition: "succeeded", state: "running", detail: undefined, counted: undefined },
            ...{ type: "ocr.page", queue: "default", createTime: ago(3_000) },
          },
        ],
      }),
  },
  {
    code: "SCHEDULED_FOR_LATER",
    when: "its start time is in 2 min",
    write: () => waiting([member()], { task: { ...TASK, runTime: ago(-120_000) } }),
  },
  {
    code: "SCHEDULED_FOR_LATER",
    when: "it was taken from its worker, after an attempt that had failed",
    write: () =>
      waiting([member()], {
        lastAttempt: attempt("requeued:revoked", 3_000),
        task: { ...TASK, runTime: ago(-120_000), attemptCount: 1, failure: BROKE },
      }),
  },
  {
    code: "ACCEPT_TIMED_OUT",
    when: "it waits before the next assignment",
    write: () => waiting([member()], unaccepted),
  },
  {
    code: "ACCEPT_TIMED_OUT",
    when: "its wait is over",
    write: () => waiting([full()], { ...unaccepted, task: { ...unaccepted.task, runTime: ago(1_000) } }),
  },
  {
    code: "WAITING_FOR_RETRY",
    when: "the backoff runs",
    write: () =>
      waiting([member()], {
        lastAttempt: { ...attempt("failed", 10_000), failure: BROKE },
        task: { ...TASK, runTime: ago(-30_000), attemptCount: 2, failure: BROKE },
      }),
  },
  {
    code: "WAITING_FOR_RETRY",
    when: "its policy is in part that of its queue",
    write: () =>
      waiting([member()], {
        lastAttempt: { ...attempt("failed", 10_000), failure: BROKE },
        retry: resolveRetry(
          { ...DEFAULT_RETRY_POLICY, maxRetries: 8, defaulted: ["backoff"] },
          { backoff: { kind: "exponential", initialMs: 1_000, factor: 2, maxMs: 3_600_000, jitter: 0.1 } },
          {},
        ),
        task: { ...TASK, runTime: ago(-30_000), attemptCount: 2, failure: BROKE },
      }),
  },
  {
    code: "WAITING_FOR_RETRY",
    when: "its worker died, and another had before",
    write: () => {
      const failure = workerLost("w-1", "was killed by SIGKILL, as its supervisor saw");
      return waiting([member()], {
        lastAttempt: { ...attempt("requeued:stale", 1_000), failure },
        task: {
          ...TASK,
          runTime: ago(-4_000),
          attemptCount: 2,
          failure,
          requeueCounts: { deaths: 2, silences: 1 },
        },
      });
    },
  },
  {
    code: "QUEUE_PAUSED",
    when: "for 30 s",
    write: () => waiting([member()], { queuePause: { reason: "disk is full (by ana)", since: ago(30_000) } }),
  },
  {
    code: "QUEUE_FULL",
    when: "at its limit",
    write: () => {
      const limit = { max: 1_000, reason: "disk is small (by ana)", since: ago(90_000), waiting: 1_001 };
      return [queueFull({ name: "nightly", ...limit }, NOW)].filter((reason) => reason !== undefined);
    },
  },
  { code: "NO_WORKERS", when: "none ever registered", write: () => waiting([]) },
  { code: "NO_WORKERS", when: "the last one is gone", write: () => waiting([], { gone: [gone] }) },
  {
    code: "NO_WORKERS",
    when: "workers were refused",
    write: () =>
      withRejected(
        waiting([]),
        TASK,
        [rejected(), rejected({ workerId: "w-7", code: "VERSION_MISMATCH" })],
        NOW,
      ),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "the type is misspelt",
    write: () => waiting([member()], { task: { ...TASK, type: "ocrr" } }),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "the last worker with a handler is gone",
    write: () => waiting([member({ candidate: { types: new Map() } })], { gone: [gone] }),
  },
  {
    code: "NO_WORKER_FOR_TYPE",
    when: "no worker takes from the queue",
    write: () => waiting([member()], { task: { ...TASK, queue: "defualt" } }),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "one label",
    write: () =>
      waiting(
        [member({ candidate: { labels: { gpu: "a10" } } }), member({ id: "w-2" })],
        wants({ labels: { gpu: "a100" } }),
      ),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "each label is on some worker",
    write: () =>
      waiting(
        [
          member({ candidate: { labels: { gpu: "a100" } } }),
          member({ id: "w-2", candidate: { labels: { zone: "eu" } } }),
        ],
        wants({ labels: { gpu: "a100", zone: "eu" } }),
      ),
  },
  {
    code: "NO_WORKER_MATCHES_LABELS",
    when: "the label was added after its worker ran out of memory",
    write: () => {
      const { task } = wants({ labels: { memory: "large" } });
      const retry = { ...DEFAULT_RETRY_POLICY, onOutOfMemory: { labels: { memory: "large" } } };
      return waiting([member()], { task: { ...task, outOfMemoryCount: 1, options: { retry } } });
    },
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "no worker can be asked",
    write: () => waiting([member()], wants({ resources: ["model:x"] })),
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "a worker was asked",
    write: () => waiting([member({ more: asking() })], wants({ resources: ["model:x"] })),
  },
  {
    code: "RESOURCE_NOT_LOADED",
    when: "loading failed",
    write: () =>
      waiting(
        [member({ more: asking({ state: "failed", ageMs: 3_000, failures: 2, error: "no memory left" }) })],
        wants({ resources: ["model:x"] }),
      ),
  },
  {
    code: "WORKERS_STARTING",
    when: "connected",
    write: () =>
      waiting([
        member({ state: "registered", candidate: { ready: false }, record: { connectTime: ago(8_000) } }),
      ]),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, never served before",
    write: () => starts({ launching: [launch()] }),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, served the queue before",
    write: () => starts({ launching: [launch()], served: served("default") }),
  },
  {
    code: "WORKERS_STARTING",
    when: "launched, served another queue before",
    write: () => starts({ launching: [launch()], served: served("night") }),
  },
  {
    code: "WORKERS_FAILED_TO_START",
    when: "it exited",
    write: () => starts({ failed: [launch({ end: ended("launch_failed") })], served: served("default") }),
  },
  {
    code: "WORKERS_FAILED_TO_START",
    when: "it served another queue before",
    write: () => starts({ failed: [launch({ end: ended("launch_failed") })], served: served("night") }),
  },
  {
    code: "MECHANISM_NOT_ACTING",
    when: "beyond the limit of its attempts",
    write: () =>
      waiting([full()], {
        task: { ...TASK, attemptCount: 5, failure: BROKE },
        withheld: { attempt_limits: { mode: "observe", schedulers: ["s-1", "s-2"], ageMs: 400 } },
      }),
  },
  {
    code: "WORKER_SUSPECT",
    when: "the only worker, and lost workers are not recovered",
    write: () =>
      waiting([member({ state: "suspect", candidate: { ready: false } })], {
        withheld: { recovery: { mode: "off", schedulers: ["s-1"], ageMs: 0 } },
      }),
  },
  {
    code: "WORKER_SUSPECT",
    when: "the only worker",
    write: () => waiting([member({ state: "suspect", candidate: { ready: false } })]),
  },
  {
    code: "WORKERS_DRAINING",
    when: "all workers",
    write: () => waiting([member({ candidate: { draining: true } })]),
  },
  {
    code: "WORKERS_DRAINING",
    when: "others are busy",
    write: () => waiting([full(), member({ id: "w-2", candidate: { draining: true } })]),
  },
  {
    code: "QUARANTINED",
    when: "one of the workers is, and the other is busy",
    write: () =>
      waiting([
        full(),
        member({
          id: "w-2",
          candidate: { quarantinedUntil: 1_000 },
          record: { sessionId: 2, quarantine: QUARANTINE },
        }),
      ]),
  },
  {
    code: "WORKERS_PAUSED",
    when: "by memory",
    write: () => waiting([member({ candidate: { pauseReason: "memory: 97 % used" } })]),
  },
  {
    code: "WORKERS_PAUSED",
    when: "by an operator",
    write: () =>
      waiting([
        member({
          record: { operatorPause: { reason: "new driver (by ada)", since: ago(90_000) } },
          candidate: { pauseReason: "paused by an operator: new driver (by ada)" },
        }),
        member({ id: "w-2", candidate: { pauseReason: "memory: 97 % used" } }),
      ]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "slots",
    write: () => waiting([full({ held: [held("t-3.1", "inference", 90_000)] })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "other queues have work for the same workers",
    write: () => waiting([full()], { turn: TURN }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "other fairness keys and higher priorities go first",
    write: () =>
      waiting([full()], {
        turn: {
          ...ALONE,
          key: {
            ...{ name: "tenant-7", weight: 1, otherCount: 2, otherWeight: 3 },
            others: [
              { name: "tenant-1", weight: 2 },
              { name: "", weight: 1 },
            ],
          },
          next: { queue: "default", key: "tenant-1" },
          priority: { own: 0, first: 5, passesAt: ago(-12_000_000) },
        },
      }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "older tasks of a higher priority go first",
    write: () =>
      waiting([full()], { turn: { ...ALONE, priority: { own: 0, first: 1, passesAt: ago(600_000) } } }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "higher priorities go first, and do not age",
    write: () =>
      waiting([full()], { turn: { ...ALONE, priority: { own: 0, first: 1, passesAt: undefined } } }),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a type's concurrency",
    write: () => waiting([member({ candidate: { types: new Map([["ocr", { limit: 1, active: 1 }]]) } })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a type's concurrency that its worker adapts",
    write: () => {
      const adaptive = {
        ...{ limit: 3, min: 1, max: 8, previous: 4, changeAgeMs: 12_000 },
        reason: "3 of 11 attempts failed, more than 10 %",
      };
      return waiting([
        member({ candidate: { types: new Map([["ocr", { limit: 3, active: 3, adaptive }]]) } }),
      ]);
    },
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "a revoked attempt holds the oldest",
    write: () =>
      waiting([
        full({
          held: [{ ...held("t-3.1", "", 90_000), revoked: { forMs: 60_000, reason: "requeued:stale" } }],
        }),
      ]),
  },
  {
    code: "RUNS_ALONE",
    when: "a worker is reserved for it",
    write: () =>
      waiting(
        [
          member({
            candidate: { occupied: true, keptFreeUntil: 10_000, credit: 1 },
            more: { held: [held("t-3.1", "", 90_000)] },
          }),
        ],
        { task: { ...TASK, alone: true, requeueCounts: { deaths: 2, silences: 1 } } },
      ),
  },
  {
    code: "RUNS_ALONE",
    when: "its workers are reserved for others",
    write: () =>
      waiting([member({ candidate: { runsAlone: true }, more: { held: [held("t-3.1", "", 90_000)] } })]),
  },
  { code: "DATABASE_UNAVAILABLE", when: "unreachable", write: () => [databaseUnavailable(OUTAGE)] },
  {
    code: "DATABASE_UNAVAILABLE",
    when: "locked",
    write: () => [databaseUnavailable({ ...OUTAGE, error: "a lock", condition: "locked", lock: LOCK })],
  },
  {
    code: "DISPATCH_DELAYED",
    when: "its assignment is next",
    write: () => delayed([member()], {}, { ...TASK, readyTime: ago(500) }),
  },
  { code: "DISPATCH_DELAYED", when: "for 60 s", write: () => delayed([member()], {}) },
  {
    code: "DISPATCH_DELAYED",
    when: "older tasks go first",
    write: () => delayed([member()], { aheadCount: 12 }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "older tasks and other queues go first",
    write: () => waiting([member()], { dispatch: { ...DISPATCH, aheadCount: 12 }, turn: TURN }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the claim waits",
    write: () => delayed([member()], { claimingMs: 4_000 }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the claim waits for a lock",
    write: () => withLock(delayed([member()], { claimingMs: 4_000 }), LOCK),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the dispatch loop failed",
    write: () => delayed([member()], { lastError: "out of shared memory" }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the worker is at another scheduler",
    write: () => delayed([elsewhere], { otherSchedulers: new Set(["s-2"]) }),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the other scheduler does not answer",
    write: () => delayed([elsewhere], {}),
  },
  {
    code: "DISPATCH_DELAYED",
    when: "the worker left an assignment unanswered",
    write: () => waiting([member({ candidate: { acceptStalledUntil: 9_000 } })]),
  },
  ...CAPACITY_PROSE,
];
