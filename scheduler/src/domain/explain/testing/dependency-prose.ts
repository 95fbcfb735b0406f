/** Cases of the prose snapshot: tasks that wait for other tasks, and tasks that ended with one of them. */
import type { DependencyCause, LinkedTask } from "../../tasks/dependencies/dependencies.ts";
import { causeInWords } from "../../tasks/dependencies/dependency-plan.ts";
import { explainEnded } from "../task.ts";
import { ago, member, NOW, TASK } from "./fixture.ts";
import { waiting } from "./made-facts.ts";
import type { ProseCase } from "./prose-case.ts";

const predecessor = (taskId: number, more: Partial<LinkedTask> = {}): LinkedTask => ({
  ...{ taskId, condition: "succeeded", state: "running", detail: undefined, counted: undefined },
  ...{ type: "ocr.page", queue: "default", createTime: ago(taskId * 1_000) },
  ...more,
});

const asked = (...predecessors: readonly LinkedTask[]) =>
  waiting([member()], { task: { ...TASK, waitsForTasks: true }, predecessors });

export const WAITING_DEPENDENCY_PROSE: readonly ProseCase[] = [
  {
    code: "WAITING_FOR_TASKS",
    when: "one of two is open",
    write: () =>
      asked(
        predecessor(3, { counted: { state: "succeeded", time: ago(500) }, state: "succeeded" }),
        predecessor(8, { condition: "ended", state: "queued" }),
      ),
  },
  {
    code: "WAITING_FOR_TASKS",
    when: "more are open than are named",
    write: () => asked(...[1, 2, 3, 4, 5].map((id) => predecessor(id))),
  },
  {
    code: "WAITING_FOR_TASKS",
    when: "one of them is held",
    write: () => asked(predecessor(3), predecessor(8, { state: "queued", detail: "held" })),
  },
  {
    code: "WAITING_FOR_TASKS",
    when: "the end of the last one is not counted yet",
    write: () => asked(predecessor(3, { state: "succeeded", detail: "succeeded" })),
  },
  { code: "WAITING_FOR_TASKS", when: "it completes a batch that is open", write: () => batch(undefined) },
  { code: "WAITING_FOR_TASKS", when: "it completes a closed batch", write: () => batch(ago(5_000)) },
];

const batch = (closeTime: Date | undefined) =>
  waiting([member()], {
    task: { ...TASK, waitsForTasks: true },
    batch: {
      ...{ id: 7, title: "book 7", hasCompletion: true, createTime: ago(60_000), closeTime },
      ...{ cancelTime: undefined, cancelReason: undefined },
      counts: { queued: 3, assigned: 0, running: 1, succeeded: 5, failed: 1, cancelled: 0 },
    },
  });

const ended = (dependency: DependencyCause) => () => [
  explainEnded(
    {
      ...TASK,
      ...{ state: dependency.state, detail: "DEPENDENCY_FAILED", finishTime: NOW, options: { dependency } },
      ...(dependency.state === "cancelled" ? { cancelReason: causeInWords(dependency) } : {}),
    },
    [],
  ),
];

const BROKEN: DependencyCause = {
  taskId: 3,
  state: "failed",
  detail: "RETRIES_EXHAUSTED",
  message: "the model is not there",
};

export const ENDED_DEPENDENCY_PROSE: readonly ProseCase[] = [
  { code: "DEPENDENCY_FAILED", when: "its predecessor failed", write: ended(BROKEN) },
  {
    code: "DEPENDENCY_FAILED",
    when: "its predecessor was cancelled",
    write: ended({ taskId: 3, state: "cancelled", detail: "cancelled", message: "by ada" }),
  },
  {
    code: "DEPENDENCY_FAILED",
    when: "down a chain",
    write: ended({ taskId: 6, state: "failed", detail: "DEPENDENCY_FAILED", message: "x", root: BROKEN }),
  },
];
