/** A task as readable JSON. */
import { randomUUID } from "node:crypto";
import { plainTask, readContent, type Task } from "@muster/protocol";
import { taskPath } from "./route.ts";

/**
 * The task as JSON. Payload and result stand in it as JSON or text where they are; the text of JSON is that which was sent, so
 * that no number loses digits. Others have an address to read them from. Empty members are left out.
 */
export function taskJson(task: Task): string {
  const inlined = new Map<string, string>();
  const { payload, result, ...others } = plainTask(task, (bytes, contentType) => {
    const content = readContent(bytes, contentType);
    if (content.kind === "binary") return {};
    if (content.kind === "text") return { text: content.text };
    const place = randomUUID();
    inlined.set(place, content.text);
    return { json: place };
  });
  const shown = {
    ...others,
    payload: { ...payload, ...(payload.bytes > 0 ? { href: taskPath(task.id, "payload") } : {}) },
    ...(result ? { result: { ...result, href: taskPath(task.id, "result") } } : {}),
  };
  let text = JSON.stringify(shown, withoutEmpty);
  // A place is random: no text of the task contains it.
  for (const [place, json] of inlined) text = text.replace(`"${place}"`, () => json);
  return `${text}\n`;
}

/** Leaves out what says nothing; a number that is zero says something. */
function withoutEmpty(_key: string, value: unknown): unknown {
  if (value === "" || (Array.isArray(value) && value.length === 0)) return undefined;
  if (typeof value === "object" && value !== null && Object.keys(value).length === 0) return undefined;
  return value;
}
