/** A task as a command that submits the same again. */
import { essence, type Task } from "@muster/protocol";
import { quoted } from "../../format/shell.ts";

/** What a command has of a task. */
export type Submitted = Pick<
  Task,
  "taskType" | "queue" | "priority" | "tags" | "contentType" | "uniqueKey"
> & {
  /** Undefined: it is no text, or was left out. */
  readonly payloadText: string | undefined;
};

/** For the muster command. */
export function asCommand({ taskType, queue, priority, tags, payloadText }: Submitted): string {
  return [
    "npx muster submit",
    quoted(taskType),
    quoted(payloadText ?? "PAYLOAD"),
    ...(queue === "default" ? [] : [`--queue ${quoted(queue)}`]),
    ...(priority === 0 ? [] : [`--priority ${priority}`]),
    ...tags.map((tag) => `--tag ${quoted(tag)}`),
  ].join(" ");
}

/** @param base Address of the scheduler, with `/` at its end. */
export function asCurl(
  { taskType, queue, priority, tags, contentType, payloadText }: Submitted,
  base: string,
): string {
  const query = new URLSearchParams({
    ...(queue === "default" ? {} : { queue }),
    ...(priority === 0 ? {} : { priority: String(priority) }),
  });
  for (const tag of tags) query.append("tag", tag);
  const text = query.toString();
  const address = `${base}v1/tasks/${encodeURIComponent(taskType)}${text === "" ? "" : `?${text}`}`;
  const type = contentType === "" ? "application/json" : contentType;
  const body =
    essence(type) === "application/json"
      ? `--json ${quoted(payloadText ?? "PAYLOAD")}`
      : `-H ${quoted(`content-type: ${type}`)} --data-binary ${quoted(payloadText ?? "@FILE")}`;
  return `curl -s ${quoted(address)} ${body}`;
}
