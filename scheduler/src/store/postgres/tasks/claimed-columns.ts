/** Reads many claimed attempts as arrays, one for each column, instead of a row each. */
import type { RequeueCounts, TaskOptions } from "../../../domain/tasks/task.ts";
import type { ClaimedAttempt } from "../../store.ts";
import { DEFAULT_CONTENT_TYPE } from "./task-columns.ts";

/**
 * Payloads above this size come in a row of their own: those of a row are one value, which arrives in hexadecimal, and
 * a string holds 512 Mi characters.
 */
const MAX_SHARED_BYTES = 8_192;

/** Columns that are null for most tasks. */
const SPARSE = ["options", "cancel_reason", "content_type", "headers", "requeue_counts"] as const;

/**
 * Claimed attempts, an array for each column: a row for each, of a dozen values, costs the server, the driver and the
 * garbage collector more than the claim itself. Columns that are null for most tasks are JSON objects by task id; an
 * aggregate resolves its types once, where a JSON array for each row took 9 us of the server's time. The query names
 * the claimed rows `c`.
 */
export const SELECT_CLAIMED = `select array_agg(c.id) as ids, array_agg(c.epoch) as epochs,
    array_agg(c.class_id) as class_ids, array_agg(c.session_id) as session_ids,
    array_agg(c.attempt_count) as attempt_counts, array_agg(c.oom_count) as oom_counts,
    array_agg(c.since_creation_us) as since_creation_us,
    array_agg(octet_length(c.payload)) as sizes, string_agg(c.payload, '') as payloads,
    ${SPARSE.map(
      (column) => `json_object_agg(c.id, c.${column}) filter (where c.${column} is not null) as ${column}`,
    ).join(", ")}
  from c group by case when octet_length(c.payload) > ${MAX_SHARED_BYTES} then c.id end`;

/** Values of the tasks that have one, by task id. */
type Sparse<T> = Readonly<Record<number, T>> | null;

/** A row of `SELECT_CLAIMED`. */
export interface ClaimedColumns {
  ids: readonly number[];
  epochs: readonly number[];
  class_ids: readonly number[];
  session_ids: readonly number[];
  attempt_counts: readonly number[];
  oom_counts: readonly number[];
  since_creation_us: readonly number[];
  sizes: readonly number[];
  payloads: Buffer;
  options: Sparse<TaskOptions>;
  cancel_reason: Sparse<string>;
  content_type: Sparse<string>;
  headers: Sparse<Record<string, string>>;
  requeue_counts: Sparse<RequeueCounts>;
}

/**
 * The attempts of a row, freshly assigned. Their payloads are views of one buffer.
 *
 * @param keyed Whether their tasks may have concurrency keys.
 */
export function claimedAttempts(columns: ClaimedColumns, keyed = false): ClaimedAttempt[] {
  const { ids, epochs, class_ids, session_ids, attempt_counts, oom_counts, since_creation_us } = columns;
  const { sizes, payloads, options, cancel_reason, content_type, headers, requeue_counts } = columns;
  let end = 0;
  return ids.map((taskId, index) => {
    const start = end;
    end += at(sizes, index);
    return {
      taskId,
      epoch: at(epochs, index),
      classId: at(class_ids, index),
      sessionId: at(session_ids, index),
      attemptCount: at(attempt_counts, index),
      outOfMemoryCount: at(oom_counts, index),
      requeueCounts: requeue_counts?.[taskId],
      options: options?.[taskId],
      cancelReason: cancel_reason?.[taskId],
      accepted: false,
      ageMs: 0,
      sinceCreationMs: at(since_creation_us, index) / 1_000,
      payload: payloads.subarray(start, end),
      contentType: content_type?.[taskId] ?? DEFAULT_CONTENT_TYPE,
      headers: headers?.[taskId],
      keyed,
    };
  });
}

function at(column: readonly number[], index: number): number {
  const value = column[index];
  if (value === undefined) throw new Error(`a column of a claim ends before its ${index + 1}. attempt`);
  return value;
}
