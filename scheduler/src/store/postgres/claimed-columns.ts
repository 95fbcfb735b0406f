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
 * garbage collector more than the claim itself. The query names the claimed rows `c`.
 */
export const SELECT_CLAIMED = `select array_agg(c.id) as ids, array_agg(c.epoch) as epochs,
    array_agg(c.class_id) as class_ids, array_agg(c.session_id) as session_ids,
    array_agg(c.attempt_count) as attempt_counts, array_agg(c.since_creation_us) as since_creation_us,
    array_agg(octet_length(c.payload)) as sizes, string_agg(c.payload, '') as payloads,
    json_agg(json_build_array(c.id, c.oom_count, c.options, c.cancel_reason, c.content_type, c.headers))
      filter (where num_nonnulls(c.options, c.cancel_reason, c.content_type, c.headers) > 0 or c.oom_count > 0) as extras
  from c group by case when octet_length(c.payload) > ${MAX_SHARED_BYTES} then c.id end`;

/** What most attempts lack: task id, deaths by memory, options, cancel reason, media type, headers. */
type Extra = readonly [
  number,
  number,
  TaskOptions | null,
  string | null,
  string | null,
  Record<string, string> | null,
];

/** A row of `SELECT_CLAIMED`. */
export interface ClaimedColumns {
  ids: readonly number[];
  epochs: readonly number[];
  class_ids: readonly number[];
  session_ids: readonly number[];
  attempt_counts: readonly number[];
  since_creation_us: readonly number[];
  sizes: readonly number[];
  payloads: Buffer;
  extras: readonly Extra[] | null;
}

/** The attempts of an answer, freshly given out. Their payloads look into one buffer. */
export function claimedAttempts(columns: ClaimedColumns): ClaimedAttempt[] {
  const { ids, epochs, class_ids, session_ids, attempt_counts, since_creation_us, sizes, payloads } = columns;
  const extras = columns.extras && new Map(columns.extras.map((extra) => [extra[0], extra]));
  let end = 0;
  return ids.map((taskId, index) => {
    const start = end;
    end += at(sizes, index);
    const [, outOfMemoryCount, options, cancelReason, contentType, headers] = extras?.get(taskId) ?? NO_EXTRA;
    return {
      taskId,
      epoch: at(epochs, index),
      classId: at(class_ids, index),
      sessionId: at(session_ids, index),
      attemptCount: at(attempt_counts, index),
      outOfMemoryCount,
      options: options ?? undefined,
      cancelReason: cancelReason ?? undefined,
      accepted: false,
      ageMs: 0,
      sinceCreationMs: at(since_creation_us, index) / 1_000,
      payload: payloads.subarray(start, end),
      contentType: contentType ?? DEFAULT_CONTENT_TYPE,
      headers: headers ?? undefined,
    };
  });
}

const NO_EXTRA: Extra = [0, 0, null, null, null, null];

function at(column: readonly number[], index: number): number {
  const value = column[index];
  if (value === undefined) throw new Error(`a column of a claim ends before its ${index + 1}. attempt`);
  return value;
}
