/** Cases of the prose snapshot: running tasks whose handlers wait without their slots. */
import type { SlotReleaseRecord } from "../../tasks/attempts/slot-release.ts";
import type { TaskRecord } from "../../tasks/task.ts";
import type { SeenAttempt } from "../../workers/worker.ts";
import type { ActiveFacts, AwaitedTask } from "../assigned/active-facts.ts";
import type { Reason } from "../reason.ts";
import { explainActive } from "../task.ts";
import { ago, held, member, NOW, TASK } from "./fixture.ts";
import type { ProseCase } from "./prose-case.ts";

const WAIT: SlotReleaseRecord = { ageMs: 5_000, taskIds: [], taskCount: 0, reason: "", returning: false };

function active(
  release: Partial<SlotReleaseRecord>,
  awaited: readonly AwaitedTask[] = [],
  others: readonly SeenAttempt[] = [],
  facts: Partial<ActiveFacts> = {},
): Reason[] {
  const waits = { ...held("t-7.2", "", 48_000), slotRelease: { ...WAIT, ...release } };
  return explainActive({
    task: {
      ...{ ...TASK, state: "running", epoch: 2, attemptCount: 2, workerId: "w-1" },
      ...{ assignTime: ago(50_000), acceptTime: ago(49_000), startTime: ago(48_000) },
      concurrency: [{ key: "book-7", limit: 1 }],
    },
    holder: member({ more: { held: [waits, ...others] } }),
    events: [],
    awaited,
    watch: { stuckAfterMs: 10_000, unstartedAfterMs: 30_000, phasesMs: {} },
    acceptDeadlineMs: 5_000,
    now: NOW,
    ...facts,
  });
}

const child = (id: number, task: Partial<TaskRecord>, reason?: AwaitedTask["reason"]): AwaitedTask => ({
  task: { ...TASK, id, type: "page", createTime: ago(6_000), ...task },
  reason,
});

export const WITHOUT_SLOTS_PROSE: readonly ProseCase[] = [
  {
    code: "WAITING_FOR_TASKS",
    when: "its handler waits for a running and a queued task",
    write: () =>
      active({ taskIds: ["t-8", "t-9"], taskCount: 12 }, [
        child(8, { state: "running", startTime: ago(4_000), workerId: "w-2" }),
        child(9, {}, { code: "NO_WORKERS", summary: "no worker is connected", remedy: "start a worker" }),
      ]),
  },
  {
    code: "WAITING_FOR_TASKS",
    when: "the child waits for a concurrency key of its parent",
    write: () =>
      active({ taskIds: ["t-9"], taskCount: 1 }, [
        child(
          9,
          { concurrency: [{ key: "book-7", limit: 1 }] },
          { code: "CONCURRENCY_KEY_HELD", summary: "t-7 holds the key", remedy: "wait" },
        ),
      ]),
  },
  {
    code: "WAITING_FOR_TASKS",
    when: "the children have ended",
    write: () => active({ taskIds: ["t-9"], taskCount: 1 }, [child(9, { state: "succeeded" })]),
  },
  {
    code: "ALL_SLOTS_BUSY",
    when: "its wait is over, and another attempt has its slot",
    write: () => active({ returning: true }, [], [held("t-11.1", "", 2_000)]),
  },
  {
    code: "RUNNING",
    when: "its handler waits without its slots for something else than a task",
    write: () => active({ reason: "the billing system" }),
  },
];
