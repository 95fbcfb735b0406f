import type { AssignmentGroup, AssignmentMessage } from "../link/assignment.ts";

/** The assignments of a group, each with what all have in common. */
export function ungroup(group: AssignmentGroup): AssignmentMessage[] {
  const { common, attemptIds, taskIds, attemptNumbers, payloads, headers } = group;
  return attemptIds.map((attemptId, index) => ({
    ...common,
    attemptId,
    taskId: taskIds[index] ?? "",
    attemptNumber: attemptNumbers[index] ?? 0,
    payload: payloads[index] ?? "",
    headers: headers.length === 0 ? NO_HEADERS : headersAt(headers, index),
  }));
}

const NO_HEADERS: AssignmentMessage["headers"] = Object.freeze({});

function headersAt(columns: AssignmentGroup["headers"], index: number): AssignmentMessage["headers"] {
  const headers: Record<string, string> = {};
  for (const { name, values } of columns) headers[name] = values[index] ?? "";
  return headers;
}
