/** A task that is submitted again with another payload. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { essence, readContent, type Task, type TaskSpecSchema } from "@muster/protocol";
import { parseJson } from "../../format/json-tree.ts";

/** Headers of the trace and of the attempt that submitted the task: a new task begins its own. */
const OWN_HEADERS: ReadonlySet<string> = new Set(["traceparent", "tracestate", "baggage"]);

/** A tag of this form names the parent of a child, which waits for other tasks. */
const PARENT = "parent:";

/** The payload as text to edit; undefined for one that is no text, or was left out. */
export function editableText({ payload, contentType, omittedFields }: Task): string | undefined {
  if (omittedFields.includes("payload")) return undefined;
  const content = readContent(payload, contentType);
  return content.kind === "binary" ? undefined : content.text;
}

/** True where the text has to be JSON. */
export function isJson(contentType: string): boolean {
  const type = essence(contentType === "" ? "application/json" : contentType);
  return type === "application/json" || type.endsWith("+json");
}

/** What is wrong with a payload; undefined when nothing is. */
export function payloadFault(text: string, contentType: string): string | undefined {
  if (!isJson(contentType)) return undefined;
  try {
    parseJson(text);
    JSON.parse(text);
    return undefined;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/**
 * The same task with another payload, to run now. The text is sent as it is, so that no number loses digits. The unique key
 * stays with the task, and the links to other tasks too.
 */
export function editedTask(task: Task, text: string): MessageInitShape<typeof TaskSpecSchema> {
  const { taskType, queue, contentType, priority, requirements, timeouts, watchdogs } = task;
  const { concurrency, rateLimits, circuit, fairness, maxIterationCount } = task;
  return {
    ...{ taskType, queue, contentType, priority, concurrency, rateLimits, maxIterationCount },
    payload: new TextEncoder().encode(text),
    headers: Object.fromEntries(Object.entries(task.headers).filter(([name]) => !OWN_HEADERS.has(name))),
    tags: task.tags.filter((tag) => !tag.startsWith(PARENT)),
    ...(requirements ? { requirements } : {}),
    ...(timeouts ? { timeouts } : {}),
    ...(watchdogs ? { watchdogs } : {}),
    ...(circuit ? { circuit } : {}),
    ...(fairness ? { fairness } : {}),
  };
}
