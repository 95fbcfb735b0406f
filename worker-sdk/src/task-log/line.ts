/** Makes the text of a line that is kept with its task: facts as JSON, secrets masked, both cut. */

import { isSecret } from "@muster/common/text/secret-names";
import { cutWellFormed } from "@muster/common/text/text";
import type { TaskLogSettings } from "../options/task-log-options.ts";

/** Longest message, and longest facts as JSON, in UTF-16 units. */
export const MAX_TEXT = 8 * 1024;

/** Longest text of a fact; a longer one would leave no room for the others. */
const MAX_FACT = 4 * 1024;

/** Depth, and members of an object or a list, beyond which facts are left out. */
const MAX_DEPTH = 6;
const MAX_MEMBERS = 100;

const MASK = "[redacted]";

/** The text of a line. */
export interface LineText {
  readonly message: string;
  /** A JSON object; empty for none. */
  readonly fields: string;
}

/** Never throws: what has no JSON form is described. */
export function lineText(fields: object, message: string, settings: TaskLogSettings): LineText {
  const facts = fields instanceof Error ? { err: fields } : fields;
  return {
    message: cutWellFormed(masked(message, settings), MAX_TEXT),
    fields: factsText(facts, settings),
  };
}

function factsText(facts: object, settings: TaskLogSettings): string {
  const plain = plainOf(facts, "", 0, settings);
  if (typeof plain !== "object" || plain === null || Object.keys(plain).length === 0) return "";
  const text = JSON.stringify(plain);
  if (text.length <= MAX_TEXT) return text;
  // Names alone: readers can tell what is missing.
  const names = Object.keys(plain).slice(0, MAX_MEMBERS);
  return JSON.stringify({ omitted: `${text.length} characters, at most ${MAX_TEXT} are kept`, names });
}

/** A value as it is kept: with bounds, and without getters, cycles and secrets. */
function plainOf(value: unknown, name: string, depth: number, settings: TaskLogSettings): unknown {
  switch (typeof value) {
    case "string":
      return isHidden(name, value, settings) ? MASK : cutWellFormed(masked(value, settings), MAX_FACT);
    case "number":
    case "boolean":
      if (isHidden(name, String(value), settings)) return MASK;
      return Number.isFinite(value) || typeof value === "boolean" ? value : String(value);
    case "bigint":
      return isHidden(name, String(value), settings) ? MASK : String(value);
    case "object":
      if (value === null) return null;
      if (settings.redactKeys.has(name.toLowerCase())) return MASK;
      return depth >= MAX_DEPTH ? "[too deep]" : objectOf(value, name, depth, settings);
    case "undefined":
      return undefined;
    default:
      return `[${typeof value}]`;
  }
}

function objectOf(value: object, name: string, depth: number, settings: TaskLogSettings): unknown {
  try {
    if (value instanceof Error) {
      const { name: type, message, stack, cause } = value;
      const facts = { type, message, stack, ...(cause === undefined ? {} : { cause }) };
      return membersOf(Object.entries(facts), depth, settings);
    }
    if (Array.isArray(value))
      return value.slice(0, MAX_MEMBERS).map((each) => plainOf(each, name, depth + 1, settings) ?? null);
    if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
    if ("toJSON" in value && typeof value.toJSON === "function") {
      const json: unknown = value.toJSON();
      if (typeof json !== "object") return plainOf(json, name, depth + 1, settings);
    }
    return membersOf(Object.entries(value), depth, settings);
  } catch (error) {
    return `[not readable: ${error instanceof Error ? error.message : String(error)}]`;
  }
}

function membersOf(
  entries: readonly (readonly [string, unknown])[],
  depth: number,
  settings: TaskLogSettings,
): Record<string, unknown> {
  return Object.fromEntries(
    entries
      .slice(0, MAX_MEMBERS)
      .map(([name, value]) => [cutWellFormed(name, 128), plainOf(value, name, depth + 1, settings)]),
  );
}

function isHidden(name: string, value: string, { redactKeys }: TaskLogSettings): boolean {
  return name !== "" && (redactKeys.has(name.toLowerCase()) || isSecret(name, value));
}

function masked(text: string, { redactor, redactPatterns }: TaskLogSettings): string {
  // Longer ones are cut anyway; patterns may take time that grows faster than the text.
  let shown = redactor.text(text.length > 4 * MAX_TEXT ? cutWellFormed(text, 4 * MAX_TEXT) : text);
  for (const pattern of redactPatterns) shown = shown.replace(pattern, MASK);
  return shown;
}
