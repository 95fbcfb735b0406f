/** Compares what is said of a task with its row. */
import type { Explanation, Reason } from "@muster/protocol";
import { type Context, factOf, sinceMs } from "./context.ts";
import type { TaskFact } from "./facts.ts";

/** Codes that a task may have in each state, beside `DATABASE_UNAVAILABLE`. */
const WAITING = [
  ...["SCHEDULED_FOR_LATER", "WAITING_FOR_RETRY", "QUEUE_PAUSED", "NO_WORKERS", "NO_WORKER_FOR_TYPE"],
  ...["NO_WORKER_MATCHES_LABELS", "RESOURCE_NOT_LOADED", "WORKERS_STARTING", "WORKERS_FAILED_TO_START"],
  ...[
    "WORKER_SUSPECT",
    "WORKERS_DRAINING",
    "WORKERS_PAUSED",
    "ALL_SLOTS_BUSY",
    "DISPATCH_DELAYED",
    "TASK_HELD",
  ],
];
const GIVEN_OUT = ["CANCELLING", "WORKER_SUSPECT", "LOOP_BLOCKED", "MISSING_AT_WORKER"];
const STARTED = [...GIVEN_OUT, "AWAITING_START", "RUNNING", "STUCK_IN_PHASE", "RESULT_PENDING"];
const CODES: Readonly<Record<string, readonly string[]>> = {
  queued: WAITING,
  assigned: [...GIVEN_OUT, "AWAITING_ACCEPT"],
  running: STARTED,
  succeeded: ["SUCCEEDED", "SUCCEEDED_WITH_WARNINGS"],
  failed: ["FAILED", "RETRIES_EXHAUSTED", "BUDGET_EXHAUSTED", "POISONED"],
  cancelled: ["CANCELLED"],
};

/** A stuck phase is reported by its elapsed time, and both clocks are read within the same look. */
const ROUNDING_MS = 5;

/** What is said of a task against its row. */
export function checkTask(context: Context, task: TaskFact, { state, reasons }: Explanation): void {
  const { add, look } = context;
  if (reasons.some(({ code }) => code === "DATABASE_UNAVAILABLE")) return;
  if (reasons.length === 0) add("words", task.id, "nothing at all", "an explanation has a reason at least");
  if (state !== task.state) add("state", task.id, `its state is ${state}`, `its row says ${task.state}`);
  const allowed = CODES[task.state] ?? [];
  for (const reason of reasons) {
    const says = `${reason.code}: ${reason.summary}`;
    // Codes that are not in any list are judged by the documents' test.
    const known = Object.values(CODES).some((codes) => codes.includes(reason.code));
    if (known && !allowed.includes(reason.code))
      add("code", task.id, says, `a task in state ${task.state} has none of that`);
    checkHolder(context, task, reason);
    checkSince(context, task, reason);
    if (reason.code === "RUNNING" && task.startMs === null)
      add("started", task.id, says, "its row has no start_time");
    const attempt = `${task.id}.${task.epoch}`;
    const notes = task.workerId !== null && look.noting.has(task.workerId);
    if (reason.code === "RUNNING" && notes && !look.called.has(attempt))
      add("started", task.id, says, `no handler was called for ${attempt}`);
  }
  checkSuspect(context, task, reasons);
}

function checkHolder({ add }: Context, task: TaskFact, reason: Reason): void {
  if (task.workerId === null || task.state === "queued") return;
  const worker = factOf(reason, "worker");
  if (worker !== undefined && worker !== task.workerId)
    add("holder", task.id, `${reason.code}: worker ${worker}`, `its row says ${task.workerId}`);
  if (task.finishMs !== null) return;
  const attempt = factOf(reason, "attempt");
  if (attempt !== undefined && attempt !== `${task.id}.${task.epoch}`)
    add("holder", task.id, `${reason.code}: attempt ${attempt}`, `its row says epoch ${task.epoch}`);
}

/** Codes whose beginning is a moment of the task's own row. */
const MOMENTS: Readonly<Record<string, (task: TaskFact) => number | null>> = {
  AWAITING_ACCEPT: ({ assignMs }) => assignMs,
  AWAITING_START: ({ acceptMs }) => acceptMs,
  RUNNING: ({ startMs }) => startMs,
  CANCELLING: ({ cancelMs }) => cancelMs,
  ...Object.fromEntries(
    ["SUCCEEDED", "SUCCEEDED_WITH_WARNINGS", "FAILED", "RETRIES_EXHAUSTED", "CANCELLED"].map((code) => [
      code,
      ({ finishMs }: TaskFact) => finishMs,
    ]),
  ),
};

function checkSince({ add }: Context, task: TaskFact, reason: Reason): void {
  const since = sinceMs(reason);
  if (since === undefined) return;
  const at = new Date(since).toISOString();
  const says = `${reason.code} since ${at}`;
  const moment = MOMENTS[reason.code]?.(task);
  if (typeof moment === "number" && Math.abs(moment - since) > ROUNDING_MS)
    add("since", task.id, says, `that was at ${new Date(moment).toISOString()}`);
  // A worker may have fallen silent, and a queue may have been paused, before the task came.
  if (["WORKER_SUSPECT", "QUEUE_PAUSED", "LOOP_BLOCKED"].includes(reason.code)) return;
  const began =
    task.state === "queued"
      ? Math.max(task.createMs, task.returnedMs ?? 0)
      : task.finishMs === null
        ? (task.assignMs ?? task.createMs)
        : task.createMs;
  if (since < began - ROUNDING_MS) {
    const what = task.state === "queued" ? "it has waited" : "it has been there";
    add("since", task.id, says, `${what} only since ${new Date(began).toISOString()}`);
  }
}

/** A holder that has not been heard of for longer than its lease is named, before and after. */
function checkSuspect({ sessions, look, add }: Context, task: TaskFact, reasons: readonly Reason[]): void {
  if (task.state !== "assigned" && task.state !== "running") return;
  const holder = [...sessions.values()].find(({ sessionId }) => sessionId === task.sessionId);
  if (!holder?.leaseUntilMs || holder.goneMs !== null) return;
  const overdue = look.before.now - holder.leaseUntilMs > look.settleMs;
  if (overdue && !reasons.some(({ code }) => code === "WORKER_SUSPECT")) {
    const codes = reasons.map(({ code }) => code).join(", ");
    add("process", task.id, codes, `the lease of ${holder.workerId} ended before this look`);
  }
}
