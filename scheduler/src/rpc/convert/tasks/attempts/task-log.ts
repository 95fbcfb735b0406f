// What handlers log, from protobuf and to it.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import {
  LogLevel,
  type TaskLogFilter,
  type TaskLogPosition,
  type TaskLogRecordSchema,
  type TaskLogs,
} from "@muster/protocol";
import type { LogMessage } from "../../../../dispatch/attempts/writers/log-writer.ts";
import { formatAttemptId, parseAttemptId } from "../../../../domain/ids.ts";
import { invalidRequest } from "../../../../domain/refusals.ts";
import type { LogFilter, LogRecord } from "../../../../domain/tasks/attempts/log-reader.ts";
import type { LineLevel, LogLine } from "../../../../store/task-logs.ts";
import { toCount } from "../../values/numbers.ts";
import { storable } from "../../values/text.ts";
import { durationFault, MAX_MS, timestampFromMs, toMs } from "../../values/time.ts";
import { toAttemptKey } from "./attempt-report.ts";

/** Lines of one message; what comes after them is dropped. */
const MAX_LINES = 1_000;

/** Longest message and fields of a line, characters. */
const MAX_TEXT = 8 * 1_024;

/** Longest text that lines are searched for, characters. */
const MAX_CONTAINS = 256;

/** Positions that a reader may give. */
const MAX_POSITIONS = 1_000;

const LEVELS: Readonly<Record<LineLevel, LogLevel>> = {
  debug: LogLevel.DEBUGGING,
  info: LogLevel.INFO,
  warn: LogLevel.WARNING,
  error: LogLevel.FAILURE,
};

/** A message of lines. @throws Refusal `INVALID_MESSAGE` when its attempt id is none. */
export function toLogMessage({ attemptId, batchNumber, lines, endSequence }: TaskLogs): LogMessage {
  const kept: LogLine[] = [];
  for (const line of lines.slice(0, MAX_LINES)) {
    const sequence = toCount(line.sequence);
    // A number that does not grow would be taken for a repeated line.
    if (sequence <= (kept.at(-1)?.sequence ?? 0)) continue;
    kept.push({
      sequence,
      ageMs: toMs(line.age) ?? 0,
      level: levelOf(line.level) ?? "info",
      message: storable(line.message, MAX_TEXT),
      fields: isObject(line.fieldsJson) ? line.fieldsJson : "",
    });
  }
  const end = toCount(endSequence);
  return {
    key: toAttemptKey(attemptId),
    batchNumber: toCount(batchNumber),
    lines: kept,
    endSequence: end > (kept.at(-1)?.sequence ?? 0) ? end : undefined,
  };
}

/** Which lines are wanted. @param nowMs The time of the call. @throws Refusal `INVALID_REQUEST`. */
export function toLogFilter(
  filter: TaskLogFilter | undefined,
  nowMs: number,
): LogFilter & { readonly attempt: number } {
  const { attempt = 0, minLevel = LogLevel.UNSPECIFIED, maxAge, contains = "" } = filter ?? {};
  if (attempt < 0) {
    const description = `${attempt} is no attempt; give the number in its id, 3 for t-1042.3, or 0 for every attempt`;
    throw invalidRequest({ field: "filter.attempt", description });
  }
  if (contains.length > MAX_CONTAINS) {
    const description = `has ${contains.length} characters; at most ${MAX_CONTAINS} are allowed`;
    throw invalidRequest({ field: "filter.contains", description });
  }
  if (minLevel !== LogLevel.UNSPECIFIED && levelOf(minLevel) === undefined) {
    const description = `${minLevel} is no level; give one of debug, info, warn, error`;
    throw invalidRequest({ field: "filter.min_level", description });
  }
  const fault = maxAge && durationFault(maxAge, MAX_MS);
  if (fault) throw invalidRequest({ field: "filter.max_age", description: fault });
  return {
    attempt,
    minLevel: levelOf(minLevel),
    sinceMs: maxAge && nowMs - (toMs(maxAge) ?? 0),
    contains: contains.toLowerCase(),
  };
}

const MAX_SEQUENCE = BigInt(Number.MAX_SAFE_INTEGER);

/** Where a reader goes on, by the number of the attempt. @throws Refusal `INVALID_REQUEST`. */
export function toLogPositions(
  taskId: number,
  positions: readonly TaskLogPosition[],
): [epoch: number, sequence: number][] {
  if (positions.length > MAX_POSITIONS) {
    const description = `has ${positions.length} positions; at most ${MAX_POSITIONS} are allowed`;
    throw invalidRequest({ field: "after", description });
  }
  return positions.map(({ attemptId, sequence }, index) => {
    const field = `after[${index}]`;
    if (sequence < 0n || sequence > MAX_SEQUENCE) {
      const description = `${sequence} is not between 0 and ${MAX_SEQUENCE}; give the sequence of a record`;
      throw invalidRequest({ field: `${field}.sequence`, description });
    }
    const key = parseAttemptId(attemptId);
    if (key?.taskId !== taskId) {
      const description = `${quoted(attemptId)} is no attempt of the task; give an attempt_id of its records`;
      throw invalidRequest({ field: `${field}.attempt_id`, description });
    }
    return [key.epoch, Number(sequence)];
  });
}

/** A line of a task's log, or a gap. */
export function fromLogRecord(
  taskId: number,
  record: LogRecord,
): MessageInitShape<typeof TaskLogRecordSchema> {
  const { epoch, sequence } = record;
  const place = { attemptId: formatAttemptId({ taskId, epoch }), sequence: BigInt(sequence) };
  if (record.kind === "gap") return { ...place, missingCount: BigInt(record.missing) };
  const { timeMs, level, message, fields } = record;
  return { ...place, time: timestampFromMs(timeMs), level: LEVELS[level], message, fieldsJson: fields };
}

function levelOf(level: LogLevel): LineLevel | undefined {
  switch (level) {
    case LogLevel.DEBUGGING:
      return "debug";
    case LogLevel.INFO:
      return "info";
    case LogLevel.WARNING:
      return "warn";
    case LogLevel.FAILURE:
      return "error";
    default:
      return undefined;
  }
}

/** Readers parse the fields: what is no object is left out. */
function isObject(text: string): boolean {
  if (text === "" || text.length > MAX_TEXT) return false;
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value);
  } catch {
    return false;
  }
}
