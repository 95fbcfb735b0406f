/** What a caller of ListTasks looks for, checked. */

import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { quoted } from "@muster/common/text/text";
import type { ListTasksRequest } from "@muster/protocol";
import type { Violation } from "../../../domain/errors.ts";
import { invalidRequest } from "../../../domain/refusals.ts";
import type { TimeRange } from "../../../domain/tasks/task-filter.ts";
import type { TaskFilter } from "../../../store/store.ts";
import { optional } from "../values/optional.ts";
import { storable } from "../values/text.ts";
import { timestampFault } from "../values/time.ts";
import { toStepCondition } from "./attempts/step.ts";
import { toTags } from "./tags.ts";
import { toTaskState } from "./task.ts";

/** Violations beside the first that an error has. */
const MAX_VIOLATIONS = 10;

const MAX_CODES = 100;
const MAX_ERROR_BYTES = 256;

type Report = (field: string, description: string) => void;

/** The filter of a list, without its place. @throws Refusal `INVALID_REQUEST` with every fault. */
export function toTaskFilter(request: ListTasksRequest): Omit<TaskFilter, "beforeId" | "limit"> {
  const violations: Violation[] = [];
  const report: Report = (field, description) => violations.push({ field, description });
  const one = (text: string) => {
    const value = storable(text, 256);
    return value === "" ? [] : [value];
  };
  const codes = request.failureCodes;
  if (codes.length > MAX_CODES)
    report("failure_codes", `has ${codes.length} entries; at most ${MAX_CODES} are allowed`);
  codes.slice(0, MAX_CODES).forEach((code, index) => {
    if (code === "") report(`failure_codes[${index}]`, "is empty; leave it out");
  });
  const tags = [...new Set(request.tags)];
  toTags(tags, report);
  const filter = {
    states: request.states.flatMap((state) => toTaskState(state) ?? []),
    queues: one(request.queue),
    types: one(request.taskType),
    details: one(request.detail),
    failureCodes: codes.slice(0, MAX_CODES).map((code) => storable(code, 256)),
    errorText: toErrorText(request.errorText, "error_text", report),
    workerId: storable(request.workerId, 256) || undefined,
    tags,
    created: toRange(request, "CreateTime", report),
    ended: toRange(request, "FinishTime", report),
    ...optional("step", toStepCondition(request.step, "step", report)),
  };
  const [first, ...further] = violations;
  if (first) throw invalidRequest(first, ...further.slice(0, MAX_VIOLATIONS));
  return filter;
}

/** A text that is looked for in failures; undefined for none. */
export function toErrorText(text: string, field: string, report: Report): string | undefined {
  if (Buffer.byteLength(text) > MAX_ERROR_BYTES || text.includes("\0"))
    report(field, `${quoted(text, 60)} must have at most ${MAX_ERROR_BYTES} bytes and no NUL`);
  return text === "" ? undefined : text;
}

const FIELDS = { CreateTime: "create_time", FinishTime: "finish_time" } as const;

function toRange(request: ListTasksRequest, name: keyof typeof FIELDS, report: Report): TimeRange {
  const field = FIELDS[name];
  const fromMs = toMoment(request[`min${name}`], `min_${field}`, report);
  const toMs = toMoment(request[`max${name}`], `max_${field}`, report);
  if (fromMs !== undefined && toMs !== undefined && fromMs > toMs)
    report(`max_${field}`, `is before min_${field}; no task can be between them: exchange the two`);
  return { fromMs, toMs };
}

function toMoment(given: Timestamp | undefined, field: string, report: Report): number | undefined {
  if (given === undefined) return undefined;
  const fault = timestampFault(given);
  if (fault) report(field, fault);
  return timestampMs(given);
}
