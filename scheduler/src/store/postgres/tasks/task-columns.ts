/** Every column of a task: its SQL type, the tables that have it, how long it is kept, and how it is read. */
import type { Warning } from "../../../domain/tasks/outcome/failure.ts";
import type {
  AttemptMetrics,
  Progress,
  RequeueCounts,
  TaskOptions,
  TaskRecord,
} from "../../../domain/tasks/task.ts";
import { LINKS } from "../dependencies/links.ts";
import { STATE, stateOf } from "../task-states.ts";
import { type ClassColumns, classColumns } from "./class-columns.ts";
import { fromStoredFailure, type StoredFailure } from "./failure-json.ts";
import { stepsKeptByRetry } from "./reports/steps.ts";

/** Media type that is stored as null. */
export const DEFAULT_CONTENT_TYPE = "application/json";

/**
 * How long a value is kept when the task moves between `task` and `task_finished`. Columns without it are written by
 * the statements that move a task.
 *
 * - `task`: for the life of the task, also when it is retried by hand.
 * - `end`: until a retry by hand, which starts again from the column's default.
 * - `attempt`: only when an attempt ends the task; a task that ends in the queue has none.
 */
type Kept = "task" | "end" | "attempt";

/** A column as a description; `T` is the type of its value as the driver reads it. */
interface Column<T> {
  readonly type: string;
  /** The table that has it; both by default. */
  readonly only?: "task" | "task_finished";
  readonly kept?: Kept;
  /** Its value in a list when that is not all of it. */
  readonly listed?: string;
  /** May have megabytes: read with a single task alone. */
  readonly body?: true;
  /** An expression on the columns of the row `t`, instead of a stored column. */
  readonly computed?: { readonly task: string; readonly task_finished: string };
  readonly value?: T;
}

function column<T>(type: string, description: Omit<Column<T>, "type" | "value"> = {}): Column<T> {
  return { type, ...description };
}

/** Bytes of warnings, as stored, that a list reads: a handler may write megabytes of them. */
const LISTED_WARNINGS = 16_384;

// A new field of a task is one line here, its name in toTaskRecord below, and the migration that adds it.
const COLUMNS = {
  id: column<number>("bigint", { kept: "task" }),
  class_id: column<number>("int", { kept: "task" }),
  state: column<number>("smallint"),
  detail: column<string | null>("text", { only: "task_finished" }),
  priority: column<number>("smallint", { kept: "task" }),
  attempt_count: column<number>("smallint", { kept: "end" }),
  oom_count: column<number>("smallint", { kept: "end" }),
  requeue_counts: column<RequeueCounts | null>("jsonb", { only: "task" }),
  epoch: column<number>("int", { kept: "task" }),
  session_id: column<number | null>("bigint", { kept: "attempt" }),
  create_time: column<Date>("timestamptz", { kept: "task" }),
  ready_time: column<Date | null>("timestamptz", { only: "task" }),
  /** Infinite, which the driver reads as a number, while it waits for tasks or is held. */
  wake_time: column<Date | number | null>("timestamptz", { only: "task" }),
  links: column<number | null>("smallint", { only: "task" }),
  hold: column<StoredHold | null>("jsonb", { only: "task" }),
  assign_time: column<Date | null>("timestamptz", { kept: "attempt" }),
  accept_time: column<Date | null>("timestamptz"),
  start_time: column<Date | null>("timestamptz"),
  finish_time: column<Date | null>("timestamptz", { only: "task_finished" }),
  cancel_time: column<Date | null>("timestamptz", { kept: "attempt" }),
  phase: column<string | null>("text", { kept: "attempt" }),
  phase_time: column<Date | null>("timestamptz", { only: "task" }),
  progress: column<(Omit<Progress, "at"> & { at: string }) | null>("jsonb", { kept: "attempt" }),
  cancel_reason: column<string | null>("text", { kept: "attempt" }),
  unique_key: column<string | null>("text", { kept: "task" }),
  content_type: column<string | null>("text", { kept: "task" }),
  headers: column<Record<string, string> | null>("jsonb", { kept: "task" }),
  options: column<TaskOptions | null>("jsonb", { kept: "task" }),
  payload: column<Buffer | null>("bytea", { kept: "task", body: true }),
  output_content_type: column<string | null>("text", { only: "task_finished" }),
  // Tracebacks of a page of tasks would be up to 200 MB, details up to 4 MB.
  failure: column<StoredFailure | null>("jsonb", { listed: "t.failure - array['traceback', 'details']" }),
  warnings: column<Warning[] | null>("jsonb", {
    only: "task_finished",
    listed: `case when pg_column_size(t.warnings) > ${LISTED_WARNINGS} then null else t.warnings end`,
  }),
  metrics: column<Partial<AttemptMetrics> | null>("jsonb", { only: "task_finished" }),
  run_ms: column<number | null>("float8", { only: "task_finished" }),
  peak_rss_bytes: column<number | null>("bigint", { only: "task_finished" }),
  output: column<Buffer | null>("bytea", { only: "task_finished", body: true }),
  payload_bytes: column<number>("int", {
    computed: { task: "octet_length(t.payload)", task_finished: "octet_length(t.payload)" },
  }),
  output_bytes: column<number | null>("int", {
    computed: { task: "null::int", task_finished: "octet_length(t.output)" },
  }),
} satisfies Record<string, Column<unknown>>;

type Columns = typeof COLUMNS;
type ValueOf<C> = C extends Column<infer T> ? T : never;

const ALL: readonly (readonly [string, Column<unknown>])[] = Object.entries(COLUMNS);

function namesKept(...kept: readonly Kept[]): string[] {
  return ALL.flatMap(([name, { kept: until }]) => (until && kept.includes(until) ? [name] : []));
}

/** Columns that a task keeps when an attempt ends it. */
export const KEPT_BY_END: readonly string[] = namesKept("task", "end", "attempt");

/** Columns that a task keeps when it ends in the queue, without an attempt. */
export const KEPT_BY_QUEUED_END = namesKept("task", "end").join(", ");

/** Columns that a task keeps when it is retried by hand. */
export const KEPT_BY_RETRY = namesKept("task").join(", ");

/**
 * Their values: the count of iterations starts again, as that of attempts does. The last progress is kept for the next attempt;
 * neither that nor the checkpoint and the steps of a success are, unless one of the steps alone is to run again.
 *
 * @param afresh An expression: nothing is kept for the next attempt.
 * @param step An expression: the step that alone is run again, or null.
 */
export function valuesKeptByRetry(afresh: string, step = "null::text"): string {
  const left = `case when state = ${STATE.succeeded} or ${afresh}
      then array_remove(array['iterations', 'checkpointed', 'earlierProgress', case when ${step} is null then 'steps' end], null)
      else array['iterations'] end`;
  const added = `case when state = ${STATE.succeeded} or ${afresh} or progress is null then '{}'
      else jsonb_build_object('earlierProgress', progress) end`;
  const kept = `(coalesce(options, '{}') || ${stepsKeptByRetry(step)}) - ${left} || ${added}`;
  return namesKept("task")
    .map((name) => (name === "options" ? `nullif(${kept}, '{}')` : name))
    .join(", ");
}

type Table = "task" | "task_finished";

/** All columns of a row `t` of a table, the same for both tables: what one of them lacks is null. */
function columnsOf(table: Table, bodies: boolean): string {
  return ALL.map(([name, { type, only, body, computed }]) => {
    if (computed) return `${computed[table]} as ${name}`;
    return (only && only !== table) || (body && !bodies) ? `null::${type} as ${name}` : `t.${name}`;
  }).join(", ");
}

/** Columns of an open and of an ended task, without payload and output, and with them. */
export const OPEN_COLUMNS = columnsOf("task", false);
export const ENDED_COLUMNS = columnsOf("task_finished", false);
export const OPEN_COLUMNS_AND_BODIES = columnsOf("task", true);
export const ENDED_COLUMNS_AND_BODIES = columnsOf("task_finished", true);

/** Columns of a row `t` in a list. What is left out because of its size is named. */
export const LISTED_COLUMNS = `${ALL.map(([name, { listed }]) => (listed ? `${listed} as ${name}` : `t.${name}`)).join(", ")},
  array_remove(array[
    case when t.failure ? 'traceback' then 'failure.traceback' end,
    case when t.failure ? 'details' then 'failure.details' end,
    case when pg_column_size(t.warnings) > ${LISTED_WARNINGS} then 'warnings' end], null) as unread`;

/** Columns of the class `c` and of the session `s` of a task. */
export const RELATED_COLUMNS = `${classColumns("c.")}, s.worker_id`;

/** A row with all columns, and those of its class and session. */
export type TaskColumns = { [Name in keyof Columns]: ValueOf<Columns[Name]> } & ClassColumns & {
    worker_id: string | null;
    /** Only of one task. */
    build?: string | null;
    /** Only from lists. */
    unread?: string[];
  };

export function toTaskRecord(row: TaskColumns): TaskRecord {
  return {
    id: row.id,
    queue: row.queue,
    type: row.type,
    requirements: {
      labels: row.labels,
      resources: row.resources,
      ...(row.cost ? { cost: row.cost } : {}),
    },
    state: stateOf(row.state),
    detail: row.detail ?? undefined,
    priority: row.priority,
    payload: row.payload ?? undefined,
    contentType: row.content_type ?? DEFAULT_CONTENT_TYPE,
    headers: row.headers ?? {},
    uniqueKey: row.unique_key ?? undefined,
    concurrency: row.concurrency ?? undefined,
    rateLimits: row.rate_limits ?? undefined,
    circuit: row.circuit ?? undefined,
    fairness: row.fairness ?? undefined,
    options: row.options ?? undefined,
    attemptCount: row.attempt_count,
    outOfMemoryCount: row.oom_count,
    requeueCounts: row.requeue_counts ?? undefined,
    classId: row.class_id,
    alone: row.alone,
    epoch: row.epoch,
    sessionId: row.session_id ?? undefined,
    workerId: row.worker_id ?? undefined,
    ...(row.build ? { build: row.build } : {}),
    createTime: row.create_time,
    readyTime: row.ready_time ?? row.create_time,
    runTime: row.wake_time instanceof Date ? row.wake_time : startAfterHold(row.hold),
    ...((row.links ?? 0) & LINKS.dependent ? { waitsForTasks: true } : {}),
    ...(row.hold ? { hold: { reason: row.hold.reason, since: new Date(row.hold.time) } } : {}),
    assignTime: row.assign_time ?? undefined,
    acceptTime: row.accept_time ?? undefined,
    startTime: row.start_time ?? undefined,
    finishTime: row.finish_time ?? undefined,
    phase: row.phase ?? undefined,
    phaseTime: row.phase_time ?? undefined,
    progress: row.progress ? { ...row.progress, at: new Date(row.progress.at) } : undefined,
    output: row.output ?? undefined,
    outputContentType: row.output_content_type ?? DEFAULT_CONTENT_TYPE,
    failure: fromStoredFailure(row.failure),
    warnings: row.warnings ?? [],
    metrics: toMetrics(row),
    cancelTime: row.cancel_time ?? undefined,
    cancelReason: row.cancel_reason ?? undefined,
    payloadBytes: row.payload_bytes,
    outputBytes: row.output_bytes ?? 0,
    unread: row.unread ?? [],
  };
}

/** A hold as the database keeps it. */
interface StoredHold {
  readonly reason: string;
  readonly time: string;
  /** The start time that the task has when it is released; absent for none. */
  readonly wake?: string;
}

function startAfterHold(hold: StoredHold | null): Date | undefined {
  return hold?.wake === undefined ? undefined : new Date(hold.wake);
}

function toMetrics(
  row: Pick<TaskColumns, "metrics" | "run_ms" | "peak_rss_bytes">,
): AttemptMetrics | undefined {
  if (row.run_ms === null && row.metrics === null) return undefined;
  return { runMs: row.run_ms ?? 0, peakRssBytes: row.peak_rss_bytes ?? 0, phases: [], ...row.metrics };
}
