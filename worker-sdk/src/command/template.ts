/** Fills arguments of a command with values of the task. */
import { quoted } from "@muster/common/text/text";

/** What a template may name. */
export interface TemplateValues {
  /** The payload, parsed. */
  readonly input: unknown;
  /** The scratch folder of the attempt. */
  readonly scratch: string;
  readonly task: { readonly id: string; readonly type: string; readonly queue: string };
  readonly attempt: { readonly id: string; readonly number: number };
}

/** A template that cannot be filled with this task: another attempt would fail in the same way. */
export class TemplateError extends Error {
  override readonly name = "TemplateError";
}

/** A name in braces; `{{` and `}}` are braces themselves. */
const PART = /\{\{|\}\}|\{([^{}]*)\}|[{}]/g;

const NAME = /^(input|scratch|task|attempt)((?:\.[^.{}]+)*)$/;

/** Most names of the input that an error lists. */
const MAX_NAMES = 20;

/** What is wrong with a template, whatever the task; undefined when nothing is. */
export function templateFault(template: string): string | undefined {
  if (template.includes("\0")) return "has a NUL character, which no argument can have";
  for (const [whole, name] of template.matchAll(PART)) {
    if (whole === "{{" || whole === "}}") continue;
    if (name === undefined) return `has a single ${whole}; write ${whole}${whole} for the character itself`;
    if (!NAME.test(name))
      return `names ${quoted(whole)}; allowed are {input}, {input.NAME}, {scratch}, {task.id}, {task.type}, {task.queue}, {attempt.id}, {attempt.number}; write {{ and }} for braces`;
  }
  return undefined;
}

/**
 * The text of a template. A value is one argument or a part of one, whatever characters it has: no shell reads it.
 *
 * @param where Names the template in an error.
 * @throws TemplateError for a value that is missing, or is no text, number or boolean.
 */
export function filled(template: string, values: TemplateValues, where: string): string {
  return template.replaceAll(PART, (whole, name: string | undefined) => {
    if (whole === "{{") return "{";
    if (whole === "}}") return "}";
    if (name === undefined) return whole;
    const value = namedValue(name, values, where);
    if (value.includes("\0"))
      throw new TemplateError(`${where}: {${name}} has a NUL character, which no argument can have`);
    return value;
  });
}

function namedValue(name: string, values: TemplateValues, where: string): string {
  const [root = "", ...path] = name.split(".");
  let value: unknown = Object(values)[root];
  let at = root;
  for (const step of path) {
    const isObject = typeof value === "object" && value !== null;
    // Members of its prototype are no values of the input.
    if (!isObject || !Object.hasOwn(value as object, step)) {
      const names = isObject ? Object.keys(value as object).slice(0, MAX_NAMES) : [];
      const has =
        value === null || !isObject
          ? `${at} is ${value === null ? "null" : typeof value}`
          : names.length === 0
            ? `${at} has no values`
            : `${at} has ${names.map((each) => quoted(each)).join(", ")}`;
      throw new TemplateError(`${where}: {${name}} has no value: ${has}; submit the task with it`);
    }
    value = (value as Record<string, unknown>)[step];
    at = `${at}.${step}`;
  }
  if (typeof value === "string") return value;
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  const kind = value === null ? "null" : Array.isArray(value) ? "a list" : typeof value;
  throw new TemplateError(
    `${where}: {${name}} is ${kind}; only a text, a number or a boolean can be part of an argument`,
  );
}
