import type { TaskOptions } from "../../domain/task.ts";
import type { ClaimedAttempt } from "../store.ts";
import { DEFAULT_CONTENT_TYPE } from "./rows.ts";

/**
 * Payloads above this size come in a row of their own: those of a row are one value, which arrives in hexadecimal, and
 * a string holds 512 Mi characters.
 */
const MAX_SHARED_BYTES = 8_192;

/**
 * Claimed attempts, an array for each column: a row for each, of a dozen values, costs the server, the driver and the
 * garbage collector more than the claim itself. The query names the claimed rows `c`. What most tasks lack is null for
 * all where it is for each.
 */
export const SELECT_CLAIMED = `select array_agg(c.id) as ids, array_agg(c.epoch) as epochs,
    array_agg(c.class_id) as class_ids, array_agg(c.session_id) as session_ids,
    array_agg(c.attempt_count) as attempt_counts, array_agg(c.oom_count) as oom_counts,
    array_agg(c.since_creation_ms) as since_creation_ms,
    array_agg(octet_length(c.payload)) as sizes, string_agg(c.payload, '') as payloads,
    case when count(c.options) > 0 then json_agg(c.options) end as options,
    case when count(c.cancel_reason) > 0 then json_agg(c.cancel_reason) end as cancel_reasons,
    case when count(c.content_type) > 0 then json_agg(c.content_type) end as content_types,
    case when count(c.headers) > 0 then json_agg(c.headers) end as headers
  from c group by case when octet_length(c.payload) > ${MAX_SHARED_BYTES} then c.id end`;

type Sparse<T> = readonly (T | null)[] | null;

/** A row of `SELECT_CLAIMED`. */
export interface ClaimedColumns {
  ids: readonly number[];
  epochs: readonly number[];
  class_ids: readonly number[];
  session_ids: readonly number[];
  attempt_counts: readonly number[];
  oom_counts: readonly number[];
  since_creation_ms: readonly number[];
  sizes: readonly number[];
  payloads: Buffer;
  options: Sparse<TaskOptions>;
  cancel_reasons: Sparse<string>;
  content_types: Sparse<string>;
  headers: Sparse<Record<string, string>>;
}

/** The attempts of an answer, freshly given out. Their payloads look into one buffer. */
export function claimedAttempts(columns: ClaimedColumns): ClaimedAttempt[] {
  const { ids, epochs, class_ids, session_ids, attempt_counts, oom_counts, since_creation_ms } = columns;
  const { sizes, payloads, options, cancel_reasons, content_types, headers } = columns;
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
      options: options?.[index] ?? undefined,
      cancelReason: cancel_reasons?.[index] ?? undefined,
      accepted: false,
      ageMs: 0,
      sinceCreationMs: at(since_creation_ms, index),
      payload: payloads.subarray(start, end),
      contentType: content_types?.[index] ?? DEFAULT_CONTENT_TYPE,
      headers: headers?.[index] ?? undefined,
    };
  });
}

function at(column: readonly number[], index: number): number {
  const value = column[index];
  if (value === undefined) throw new Error(`a column of a claim ends before its ${index + 1}. attempt`);
  return value;
}
