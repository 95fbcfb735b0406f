/** The line that gives an attempt to a worker. */
import type { AssignmentMessage } from "../../link/assignment.ts";

/** Puts a value into a file for the worker, and returns its path. */
export type Spill = (value: string | Uint8Array) => string;

/**
 * The text of the line `task`. JSON is passed on as it was submitted; what is larger than `inlineBytes` goes into a file.
 *
 * @param payload The input, JSON as text.
 */
export function taskLine(assignment: AssignmentMessage, inlineBytes: number, spill: Spill): string {
  const { attemptId, taskId, type, queue, attemptNumber, maxAttempts, contentType, headers } = assignment;
  const { runTimeoutMs, phaseTimeoutsMs, resumePoint, earlierProgress, resources, cost, tick } = assignment;
  const fields = {
    kind: "task",
    attempt: attemptId,
    task: taskId,
    type,
    queue,
    number: attemptNumber,
    max_attempts: maxAttempts,
    content_type: contentType,
    headers: unlessEmpty(headers),
    timeout_s: runTimeoutMs ? runTimeoutMs / 1_000 : undefined,
    phase_timeouts_s: unlessEmpty(
      Object.fromEntries(Object.entries(phaseTimeoutsMs).map(([name, ms]) => [name, ms / 1_000])),
    ),
    earlier_progress: earlierProgress,
    resources: resources.length === 0 ? undefined : resources,
    cost,
    schedule: tick && {
      name: tick.schedule,
      tick_time: new Date(tick.tickMs).toISOString(),
      manual: tick.manual,
    },
  };
  const line = JSON.stringify(fields).slice(0, -1);
  const checkpoint =
    resumePoint === undefined ? "" : member("checkpoint", resumePoint.value, inlineBytes, spill);
  // The payload is last, so that a shell can cut it out.
  return `${line}${checkpoint}${member("payload", assignment.payload, inlineBytes, spill)}}`;
}

/** A member with a comma before it. */
function member(name: string, value: string | Uint8Array, inlineBytes: number, spill: Spill): string {
  const bytes = typeof value === "string" ? Buffer.byteLength(value) : value.byteLength;
  if (bytes > inlineBytes) return `,"${name}_file":${JSON.stringify(spill(value))}`;
  if (typeof value !== "string") return `,"${name}_b64":"${Buffer.from(value).toString("base64")}"`;
  return `,"${name}":${onOneLine(value)}`;
}

/** JSON on one line: within strings line breaks are escaped, so that those that are left mean nothing. */
function onOneLine(json: string): string {
  const text = json.startsWith("\ufeff") ? json.slice(1) : json;
  return text.trim() === "" ? "null" : text.replaceAll(/[\r\n]/g, " ");
}

function unlessEmpty<T extends object>(record: T): T | undefined {
  return Object.keys(record).length === 0 ? undefined : record;
}
