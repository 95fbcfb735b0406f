import type { Failure, Warning } from "../../domain/tasks/failure.ts";
import type {
  AttemptMetrics,
  EndState,
  OpenState,
  Progress,
  RequeueCounts,
  TaskOptions,
  TaskRecord,
  TaskState,
} from "../../domain/tasks/task.ts";
import type { AttemptRow, ClaimedAttempt } from "../store.ts";

const STATES: readonly TaskState[] = ["queued", "assigned", "running", "succeeded", "failed", "cancelled"];

/** Number of a state in the tables. */
export function stateNumber(state: OpenState | EndState): number {
  return STATES.indexOf(state);
}

/** Media type that is stored as null. */
export const DEFAULT_CONTENT_TYPE = "application/json";

/** JSON text of a value for a jsonb parameter, or null. */
export function jsonParam(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value);
}

/** Columns of an open task as an attempt; the query names the table `t`. */
export const CLAIM_COLUMNS = `t.id, t.epoch, t.class_id, t.session_id, t.attempt_count, t.oom_count, t.requeue_counts,
  t.options, t.cancel_reason`;

/** The same with what only becomes interesting when the attempt is older. */
export const ATTEMPT_COLUMNS = `${CLAIM_COLUMNS}, t.state, extract(epoch from now() - t.assign_time)::float8 * 1000 as age_ms`;

export interface AttemptColumns {
  id: number;
  epoch: number;
  class_id: number;
  session_id: number;
  attempt_count: number;
  oom_count: number;
  requeue_counts: RequeueCounts | null;
  options: TaskOptions | null;
  cancel_reason: string | null;
  /** 1, just assigned, when the query does not ask. */
  state?: number;
  /** 0 when the query does not ask. */
  age_ms?: number | null;
  phase?: string | null;
  phase_age_ms?: number | null;
  start_age_ms?: number | null;
  sequence?: number | null;
}

export function toAttemptRow(row: AttemptColumns): AttemptRow {
  return {
    taskId: row.id,
    epoch: row.epoch,
    classId: row.class_id,
    sessionId: row.session_id,
    attemptCount: row.attempt_count,
    outOfMemoryCount: row.oom_count,
    requeueCounts: row.requeue_counts ?? undefined,
    options: row.options ?? undefined,
    cancelReason: row.cancel_reason ?? undefined,
    accepted: row.state === 2,
    ageMs: row.age_ms ?? 0,
    phase: row.phase ?? undefined,
    phaseAgeMs: row.phase_age_ms ?? undefined,
    startAgeMs: row.start_age_ms ?? undefined,
    sequence: row.sequence ?? 0,
  };
}

export interface ClaimColumns extends AttemptColumns {
  payload: Buffer;
  content_type: string | null;
  headers: Record<string, string> | null;
}

export function toClaimedAttempt(row: ClaimColumns): ClaimedAttempt {
  return {
    ...toAttemptRow(row),
    sinceCreationMs: undefined,
    payload: row.payload,
    contentType: row.content_type ?? DEFAULT_CONTENT_TYPE,
    headers: row.headers ?? undefined,
  };
}

export interface TaskColumns {
  id: number;
  queue: string;
  type: string;
  labels: Record<string, string>;
  resources: string[];
  state: number;
  detail: string | null;
  priority: number;
  payload: Buffer | null;
  content_type: string | null;
  headers: Record<string, string> | null;
  unique_key: string | null;
  options: TaskOptions | null;
  attempt_count: number;
  oom_count: number;
  requeue_counts: RequeueCounts | null;
  class_id: number;
  alone: boolean;
  epoch: number;
  session_id: number | null;
  worker_id: string | null;
  create_time: Date;
  ready_time: Date | null;
  wake_time: Date | null;
  assign_time: Date | null;
  accept_time: Date | null;
  start_time: Date | null;
  finish_time: Date | null;
  phase: string | null;
  phase_time: Date | null;
  progress: (Omit<Progress, "at"> & { at: string }) | null;
  output: Buffer | null;
  output_content_type: string | null;
  failure: Failure | null;
  warnings: Warning[] | null;
  metrics: Partial<AttemptMetrics> | null;
  run_ms: number | null;
  peak_rss_bytes: number | null;
  cancel_time: Date | null;
  cancel_reason: string | null;
  payload_bytes: number;
  output_bytes: number | null;
  /** Only from lists. */
  unread?: string[];
}

export function toTaskRecord(row: TaskColumns): TaskRecord {
  return {
    id: row.id,
    queue: row.queue,
    type: row.type,
    requirements: { labels: row.labels, resources: row.resources },
    state: STATES[row.state] ?? "queued",
    detail: row.detail ?? undefined,
    priority: row.priority,
    payload: row.payload ?? undefined,
    contentType: row.content_type ?? DEFAULT_CONTENT_TYPE,
    headers: row.headers ?? {},
    uniqueKey: row.unique_key ?? undefined,
    options: row.options ?? undefined,
    attemptCount: row.attempt_count,
    outOfMemoryCount: row.oom_count,
    requeueCounts: row.requeue_counts ?? undefined,
    classId: row.class_id,
    alone: row.alone,
    epoch: row.epoch,
    sessionId: row.session_id ?? undefined,
    workerId: row.worker_id ?? undefined,
    createTime: row.create_time,
    readyTime: row.ready_time ?? row.create_time,
    runTime: row.wake_time ?? undefined,
    assignTime: row.assign_time ?? undefined,
    acceptTime: row.accept_time ?? undefined,
    startTime: row.start_time ?? undefined,
    finishTime: row.finish_time ?? undefined,
    phase: row.phase ?? undefined,
    phaseTime: row.phase_time ?? undefined,
    progress: row.progress ? { ...row.progress, at: new Date(row.progress.at) } : undefined,
    output: row.output ?? undefined,
    outputContentType: row.output_content_type ?? DEFAULT_CONTENT_TYPE,
    failure: row.failure ?? undefined,
    warnings: row.warnings ?? [],
    metrics: toMetrics(row),
    cancelTime: row.cancel_time ?? undefined,
    cancelReason: row.cancel_reason ?? undefined,
    payloadBytes: row.payload_bytes,
    outputBytes: row.output_bytes ?? 0,
    unread: row.unread ?? [],
  };
}

function toMetrics(
  row: Pick<TaskColumns, "metrics" | "run_ms" | "peak_rss_bytes">,
): AttemptMetrics | undefined {
  if (row.run_ms === null && row.metrics === null) return undefined;
  return { runMs: row.run_ms ?? 0, peakRssBytes: row.peak_rss_bytes ?? 0, phases: [], ...row.metrics };
}

/** SQL of a moment told by its age in milliseconds, null without one; never before the moments it follows. */
export function happenedAt(age: string, ...follows: readonly string[]): string {
  // greatest() passes over nulls, so an unknown age would otherwise become one of these moments.
  return `case when ${age} is not null then greatest(${follows.join(", ")}, now() - ${age} * interval '1 ms') end`;
}

/** A moment that is not later than the statement's own; null stays null, which least() would pass over. */
export function untilNow(moment: string): string {
  return `case when ${moment} > now() then now() else ${moment} end`;
}
