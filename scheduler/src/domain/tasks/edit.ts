/** Decides what an edit changes of a task that has not ended. */
import { isStrict } from "./limits/concurrency.ts";
import { DEFAULT_RETRY_POLICY, type RetryPolicy } from "./outcome/retry.ts";
import { hasEnded, type TaskOptions, type TaskRecord, type Timeouts } from "./task.ts";

/** What is asked; an absent field stays as it is. */
export interface TaskEdit {
  readonly priority?: number;
  /** Longest run of one attempt, milliseconds; 0 for no limit. */
  readonly runTimeoutMs?: number;
  /** Attempts after the first one. */
  readonly maxRetries?: number;
  /** The earliest start. */
  readonly start?: EditedStart;
}

/** So long after the edit, or at this moment, milliseconds since the epoch. What is not in the future means now. */
export type EditedStart = { readonly delayMs: number } | { readonly runAtMs: number };

/** A field that changed. The new start time is decided by the database's clock. */
export interface FieldChange {
  readonly field: "priority" | "run_timeout_ms" | "max_retry_count" | "run_time";
  /** Empty for none, and for a default. */
  readonly before: string;
  readonly after: string;
}

/** Why an edit is refused. */
export type EditRefused =
  | "ended"
  /** It is assigned or running, and a task with a strict order is in a class of its priority, which it keeps at a worker. */
  | "strict_order"
  /** It is assigned or running, and has no start time. */
  | "started"
  /** It waits for other tasks: its start time begins when they have ended. */
  | "waits_for_tasks";

/** What is written; without changes nothing is. */
export interface EditPlan {
  readonly priority: number;
  readonly options: TaskOptions | undefined;
  readonly start: EditedStart | undefined;
  /** Without `run_time`. */
  readonly changes: readonly FieldChange[];
}

/** The task as the edit wants it, or why it cannot be. */
export function planEdit(task: TaskRecord, edit: TaskEdit): EditPlan | EditRefused {
  if (hasEnded(task.state)) return "ended";
  const { priority = task.priority } = edit;
  const start = isNow(edit.start) && task.state === "queued" && !task.runTime ? undefined : edit.start;
  if (priority !== task.priority && task.state !== "queued" && isStrict(task.concurrency))
    return "strict_order";
  if (start && task.state !== "queued") return "started";
  if (edit.start && task.waitsForTasks) return "waits_for_tasks";
  const runMs = task.options?.timeouts?.runMs ?? 0;
  const { runTimeoutMs = runMs } = edit;
  const maxRetries = ownRetries(task.options?.retry);
  const { maxRetries: wantedRetries = maxRetries } = edit;
  return {
    priority,
    options: withRetries(withRunTimeout(task.options, runTimeoutMs), wantedRetries),
    start,
    changes: [
      ...changed("priority", task.priority, priority),
      ...changed("run_timeout_ms", runMs || "", runTimeoutMs || ""),
      ...changed("max_retry_count", maxRetries ?? "", wantedRetries ?? ""),
    ],
  };
}

/** A task without a start time starts now already. */
function isNow(start: EditedStart | undefined): boolean {
  return start !== undefined && "delayMs" in start && start.delayMs === 0;
}

function changed(field: FieldChange["field"], before: number | "", after: number | ""): FieldChange[] {
  return before === after ? [] : [{ field, before: String(before), after: String(after) }];
}

function withRunTimeout(options: TaskOptions | undefined, runMs: number): TaskOptions | undefined {
  if ((options?.timeouts?.runMs ?? 0) === runMs) return options;
  const { runMs: _, ...others } = options?.timeouts ?? {};
  const timeouts: Timeouts = runMs === 0 ? others : { ...others, runMs };
  return { ...options, timeouts };
}

/** Undefined where a default applies. */
function ownRetries(policy: RetryPolicy | undefined): number | undefined {
  return policy?.defaulted?.includes("maxRetries") ? undefined : policy?.maxRetries;
}

/** Defaults go on to apply to the other parts of the policy. */
function withRetries(
  options: TaskOptions | undefined,
  maxRetries: number | undefined,
): TaskOptions | undefined {
  if (maxRetries === undefined || ownRetries(options?.retry) === maxRetries) return options;
  const { defaulted = [], ...policy } = options?.retry ?? {
    ...DEFAULT_RETRY_POLICY,
    defaulted: ["backoff"],
  };
  const others = defaulted.filter((part) => part !== "maxRetries");
  return {
    ...options,
    retry: { ...policy, maxRetries, ...(others.length > 0 ? { defaulted: others } : {}) },
  };
}
