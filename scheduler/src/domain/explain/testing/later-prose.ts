/** Cases of the prose snapshot: tasks that are held, or may not start yet. */
import { workerLost } from "../../tasks/outcome/outcome.ts";
import { DEFAULT_RETRY_POLICY } from "../../tasks/outcome/retry.ts";
import { resolveRetry } from "../../tasks/outcome/retry-defaults.ts";
import { ago, BROKE, member, TASK } from "./fixture.ts";
import { full, waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

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

const HOLD = { reason: "the input is checked again (by ada)", since: ago(60_000) };

const unaccepted = {
  lastAttempt: attempt("requeued:unaccepted", 4_000),
  task: { ...TASK, runTime: ago(-4_000), requeueCounts: { unaccepted: 2 } },
};

export const LATER_PROSE: readonly ProseCase[] = [
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
];
