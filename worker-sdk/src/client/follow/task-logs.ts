/** What the handlers of a task logged, for its handle. */

import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { LogLevel, TaskLogFilterSchema, type TaskLogRecord } from "@muster/protocol";
import { durationFromMs } from "../../duration.ts";
import { type OptionNames, unknownOptions } from "../../options/known-options.ts";
import { OptionsError } from "../../options/options-error.ts";
import type { WaitOptions } from "../connection/call-options.ts";
import { WAIT_NAMES } from "./wait-limit.ts";

const NAMES: OptionNames<LogsOptions> = {
  ...WAIT_NAMES,
  ...{ follow: true, attempt: true, minLevel: true, maxAgeS: true, contains: true },
};

/** Longest text that lines are searched for, characters. */
const MAX_CONTAINS = 256;

const LEVELS = {
  debug: LogLevel.DEBUGGING,
  info: LogLevel.INFO,
  warn: LogLevel.WARNING,
  error: LogLevel.FAILURE,
} as const;

/** A century, in seconds. */
const MAX_AGE_S = 3_155_760_000;

/** How important a line is. */
export type LineLevel = keyof typeof LEVELS;

/** Options of `TaskHandle.logs`. */
export interface LogsOptions extends WaitOptions {
  /**
   * True: also what is logged from now on, across attempts, until the task has ended and its last lines are there.
   * @default false
   */
  readonly follow?: boolean;
  /**
   * The number in the id of an attempt: 3 for `t-1042.3`.
   * @default every attempt
   */
  readonly attempt?: number;
  /**
   * Lines of this level or a higher one.
   * @default every line
   */
  readonly minLevel?: LineLevel;
  /**
   * Lines that were logged within so many seconds before the call, and later ones; 0 to 3,155,760,000.
   * @default every line
   */
  readonly maxAgeS?: number;
  /**
   * Lines whose message or facts contain this text, in upper or lower case; at most 256 characters.
   * @default every line
   */
  readonly contains?: string;
}

/** A line that a handler logged, or a gap between lines. */
export type LogEntry =
  | {
      readonly kind: "line";
      /** For example `t-1042.3`. */
      readonly attemptId: string;
      /** Number among the attempt's lines, from 1. */
      readonly sequence: number;
      readonly time: Date;
      readonly level: LineLevel;
      readonly message: string;
      /** Facts of the line. Secrets are masked, and facts beyond 8 KiB are left out. */
      readonly fields: Readonly<Record<string, unknown>>;
    }
  | {
      readonly kind: "gap";
      readonly attemptId: string;
      /** Number of the last line that is missing. */
      readonly sequence: number;
      /** Lines that were logged and are not kept. */
      readonly missing: number;
    };

/** The filter of a call. @throws OptionsError for what no filter can be. */
export function logFilter(options: LogsOptions): MessageInitShape<typeof TaskLogFilterSchema> {
  const { attempt = 0, minLevel, maxAgeS, contains = "" } = options;
  const faults: string[] = [...unknownOptions(options, NAMES)];
  if (!Number.isInteger(attempt) || attempt < 0 || attempt > 999_999_999)
    faults.push(`option attempt: ${attempt} is not an integer from 1 to 999999999`);
  if (minLevel !== undefined && !(minLevel in LEVELS))
    faults.push(`option minLevel: "${minLevel}" is not one of ${Object.keys(LEVELS).join(", ")}`);
  if (maxAgeS !== undefined && !(maxAgeS >= 0 && maxAgeS <= MAX_AGE_S))
    faults.push(`option maxAgeS: ${maxAgeS} is not a number from 0 to ${MAX_AGE_S}`);
  if (contains.length > MAX_CONTAINS)
    faults.push(`option contains: has ${contains.length} characters; at most ${MAX_CONTAINS} are allowed`);
  if (faults.length > 0) throw new OptionsError("logs", faults);
  return create(TaskLogFilterSchema, {
    attempt,
    minLevel: minLevel === undefined ? LogLevel.UNSPECIFIED : LEVELS[minLevel],
    ...(maxAgeS === undefined ? {} : { maxAge: durationFromMs(maxAgeS * 1000) }),
    contains,
  });
}

/** A record as a program uses it. */
export function logEntry(record: TaskLogRecord): LogEntry {
  const { attemptId, time, message, fieldsJson, missingCount } = record;
  const sequence = Number(record.sequence);
  if (missingCount > 0n) return { kind: "gap", attemptId, sequence, missing: Number(missingCount) };
  return {
    ...{ kind: "line", attemptId, sequence, message },
    time: time === undefined ? new Date(0) : timestampDate(time),
    level: levelOf(record.level),
    fields: fieldsJson === "" ? {} : JSON.parse(fieldsJson),
  };
}

function levelOf(level: LogLevel): LineLevel {
  switch (level) {
    case LogLevel.DEBUGGING:
      return "debug";
    case LogLevel.WARNING:
      return "warn";
    case LogLevel.FAILURE:
      return "error";
    default:
      return "info";
  }
}
