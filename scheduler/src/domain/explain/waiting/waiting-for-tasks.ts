/** `WAITING_FOR_TASKS`: tasks that the task depends on have not ended. */
import { formatTaskId } from "../../ids.ts";
import { type BatchRecord, formatBatchId } from "../../tasks/batch.ts";
import type { LinkedTask } from "../../tasks/dependencies/dependencies.ts";
import { HELD_DETAIL } from "../../tasks/hold.ts";
import { hasEnded, type TaskRecord } from "../../tasks/task.ts";
import { type Evidence, plural, type Reason, span } from "../reason.ts";

/** Predecessors that are named in the summary; the evidence has all of them. */
const MAX_NAMED = 3;

/** Why a task with dependencies waits. Its predecessors are of the same moment as the task or later. */
export function waitingForTasks(task: TaskRecord, predecessors: readonly LinkedTask[], now: Date): Reason {
  const open = predecessors.filter(({ counted }) => counted === undefined);
  const evidence: Evidence[] = [
    { key: "predecessors", value: String(predecessors.length), source: "database" },
    { key: "open_predecessors", value: String(open.length), source: "database" },
    ...open.map((each) => ({ key: "predecessor", value: described(each, now), source: "database" })),
  ];
  const common = { code: "WAITING_FOR_TASKS", since: task.readyTime, evidence } as const;
  const running = open.filter(({ state }) => state !== undefined && !hasEnded(state));
  const [first] = running;
  if (!first)
    return {
      ...common,
      summary: "the tasks that it waits for have ended, and their ends are being counted",
      remedy: "wait a moment; if it lasts, run `muster doctor` for the scheduler's loop `dependents`",
    };
  const held = running.find(({ detail }) => detail === HELD_DETAIL);
  const named = running.slice(0, MAX_NAMED).map((each) => described(each, now));
  const more =
    running.length > named.length ? ` and ${plural(running.length - named.length, "more task")}` : "";
  return {
    ...common,
    summary: `it waits for ${plural(running.length, "task")} of ${predecessors.length}: ${named.join("; ")}${more}`,
    remedy: `${held ? `${formatTaskId(held.taskId)} is held: run \`muster release ${formatTaskId(held.taskId)}\` when the reason is gone; ` : ""}it starts by itself when ${running.length === 1 ? "that task has" : "they have"} ended; run \`muster why ${formatTaskId(first.taskId)}\` for the ${running.length === 1 ? "one that it waits for" : "first of them"}`,
  };
}

function described({ taskId, type, state, detail, condition, createTime }: LinkedTask, now: Date): string {
  const age = createTime ? `, submitted ${span(now.getTime() - createTime.getTime())} ago` : "";
  const what = type === undefined ? "" : ` (${type})`;
  const wanted = condition === "succeeded" ? "the success" : "the end";
  return `${wanted} of ${formatTaskId(taskId)}${what}, which is ${state ?? "not on record"}${detail === HELD_DETAIL ? " and held" : ""}${age}`;
}

/** Why the completion task of a batch waits. */
export function waitingForBatch(task: TaskRecord, { id, counts, closeTime }: BatchRecord): Reason {
  const batch = formatBatchId(id);
  const open = counts.queued + counts.assigned + counts.running;
  const total = open + counts.succeeded + counts.failed + counts.cancelled;
  const fact = (key: string, value: string): Evidence => ({ key, value, source: "database" });
  const common = {
    code: "WAITING_FOR_TASKS",
    since: task.readyTime,
    evidence: [
      fact("batch", batch),
      fact("batch_state", closeTime ? `closed at ${closeTime.toISOString()}` : "open"),
      ...Object.entries(counts).map(([state, count]) => fact(`${state}_members`, String(count))),
    ],
  } as const;
  if (!closeTime)
    return {
      ...common,
      summary: `it completes the batch ${batch}, which is open: ${open} of ${plural(total, "member")} have not ended, and more may join`,
      remedy: `run \`muster batch close ${batch}\` when the batch has all its tasks; \`muster batch ${batch}\` shows it`,
    };
  return {
    ...common,
    summary: `it completes the batch ${batch}, of which ${open} of ${plural(total, "member")} have not ended`,
    remedy: `it starts by itself when they have ended; run \`muster batch tasks ${batch}\` to list them, and \`muster why ID\` for one of them`,
  };
}
