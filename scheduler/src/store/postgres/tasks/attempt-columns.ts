/** The columns of an open task as an attempt, and as an assignment that is sent to a worker. */
import type { Facts } from "@muster/common/facts";
import type { RequeueCounts, TaskOptions } from "../../../domain/tasks/task.ts";
import type { AttemptRow, ClaimedAttempt } from "../../store.ts";
import { STATE } from "../task-states.ts";
import { DEFAULT_CONTENT_TYPE } from "./task-columns.ts";

/** Columns of an open task as an attempt; the query names the table `t`. */
export const CLAIM_COLUMNS = `t.id, t.epoch, t.class_id, t.session_id, t.attempt_count, t.oom_count, t.requeue_counts,
  t.options, t.cancel_reason`;

/** The same with what differs once an attempt is older. */
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
  /** Missing in a query of freshly assigned attempts. */
  state?: number;
  /** Missing in a query of freshly assigned attempts. */
  age_ms?: number | null;
  phase?: string | null;
  phase_age_ms?: number | null;
  start_age_ms?: number | null;
  sequence?: number | null;
  keyed?: boolean;
  queue?: string;
  payload_bytes?: number;
  facts?: Facts | null;
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
    accepted: row.state === STATE.running,
    ageMs: row.age_ms ?? 0,
    phase: row.phase ?? undefined,
    phaseAgeMs: row.phase_age_ms ?? undefined,
    startAgeMs: row.start_age_ms ?? undefined,
    sequence: row.sequence ?? 0,
    ...(row.keyed === undefined ? {} : { keyed: row.keyed }),
    ...(row.queue === undefined ? {} : { queue: row.queue }),
    ...(row.facts ? { facts: row.facts } : {}),
    ...(row.payload_bytes === undefined ? {} : { payloadBytes: row.payload_bytes }),
  };
}

/** What a worker gets of its task; the query names the table `t`. */
export const SENT_COLUMNS = "t.payload, t.content_type, t.headers";

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
