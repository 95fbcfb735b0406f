/** Describes the queue view of an idle worker. */
import type { QueueViewMessage } from "../link/messages.ts";

/**
 * Describes in one line which tasks wait and why this worker gets none of them, for example
 * `No suitable tasks - queue: [llm: 125]; llm: model:x is not loaded on it (resources)`.
 */
export function queueViewLine(entries: readonly QueueViewMessage[]): string {
  if (entries.length === 0) return "Queue empty";
  const depths = entries.map((entry) => `${kind(entry)}: ${entry.ready}`).join(", ");
  if (entries.every(({ removed_by: filter }) => filter === "")) {
    const lost = entries.map((entry) => `${kind(entry)}: ${entry.detail}`).join("; ");
    return `Tasks available - queue: [${depths}], all claimed by others; ${lost}`;
  }
  const why = entries.map((entry) =>
    entry.removed_by === ""
      ? `${kind(entry)}: claimed by others`
      : `${kind(entry)}: ${entry.detail} (${entry.removed_by})`,
  );
  return `No suitable tasks - queue: [${depths}]; ${why.join("; ")}`;
}

/** `llm`, or `llm in nightly` outside of the default queue. */
function kind({ queue, type }: QueueViewMessage): string {
  return queue === "default" ? type : `${type} in ${queue}`;
}
