/** Describes any thrown value. */
import { inspect, types } from "node:util";

/** Inner errors of an AggregateError that are reported, and causes that are followed. */
const MAX_INNER = 10;
const MAX_DEPTH = 8;

/** Longest text for a thrown value that is no error, in characters. */
const MAX_SHOWN = 1_000;

/**
 * The facts of a thrown value: an error of this realm or another one, an object that looks like one, or any value.
 * Reading it never throws, whatever its getters do.
 */
export interface Thrown {
  readonly message: string;
  /** Name of its class, or the type of the value. */
  readonly className: string;
  /** The code that it carries; undefined without one. */
  readonly code: string | undefined;
  /** Its stack, then those of inner errors and causes; empty for what is no error. */
  readonly traceback: string;
  /** The errors of an AggregateError, both of a SuppressedError; empty for anything else. */
  readonly inner: readonly unknown[];
}

/** Reads a thrown value. */
export function readThrown(error: unknown): Thrown {
  try {
    return {
      message: messageOf(error, 0),
      className: classNameOf(error),
      code: codeOf(error),
      traceback: isError(error) ? stacks(error, "", new Set()).join("\n") : "",
      inner: innerOf(error),
    };
  } catch {
    // A revoked Proxy throws for every access.
    const message = "thrown value: it cannot be read";
    return { message, className: "unreadable", code: undefined, traceback: "", inner: [] };
  }
}

/** `instanceof` that never throws. */
export function isInstance(error: unknown, known: abstract new (...args: never[]) => unknown): boolean {
  try {
    return error instanceof known;
  } catch {
    return false;
  }
}

function messageOf(error: unknown, depth: number): string {
  const message = read(error, "message");
  if (isError(error) || (typeof message === "string" && message !== "")) {
    const own = typeof message === "string" ? message : shown(message);
    // Two levels are enough, and an error may contain itself.
    const all = depth < 2 ? innerOf(error) : [];
    const inner = all.slice(0, MAX_INNER).map((each) => innerText(each, depth + 1));
    const more = all.length > MAX_INNER ? [`and ${all.length - MAX_INNER} more`] : [];
    const whole = [own || (inner.length > 0 ? "several errors" : ""), [...inner, ...more].join("; ")]
      .filter((part) => part !== "")
      .join(": ");
    return `${whole}${causeText(error, whole, depth)}`;
  }
  return `thrown value: ${typeof error === "string" && error !== "" ? error : shown(error)}`;
}

/** The cause of errors such as `fetch failed`, unless `said` contains it; causes may form a cycle. */
function causeText(error: unknown, said: string, depth: number): string {
  const cause = read(error, "cause");
  if (!isError(error) || cause === undefined || cause === null || cause === error || depth >= 2) return "";
  const known = isError(cause) ? read(cause, "message") : cause;
  if (typeof known === "string" && said.includes(known)) return "";
  return ` (cause: ${isError(cause) ? innerText(cause, depth + 1) : shown(cause)})`;
}

function innerText(error: unknown, depth: number): string {
  const code = codeOf(error);
  return `${code ?? classNameOf(error)}: ${messageOf(error, depth)}`;
}

/** Name of its class; an object that only looks like an error is called one. */
function classNameOf(error: unknown): string {
  if (!isObject(error)) return error === null ? "null" : typeof error;
  const name = read(error, "name");
  if (typeof name === "string" && name !== "") return name;
  const own = read(read(error, "constructor"), "name");
  return typeof own === "string" && own !== "" && own !== "Object" ? own : "Error";
}

/** Its own code; a number alone says little, so that it comes with the class (`ERROR_14`) or as an HTTP status. */
function codeOf(error: unknown): string | undefined {
  const code = read(error, "code");
  if (typeof code === "string" && /^[A-Za-z]/.test(code)) return code;
  const generic = classNameOf(error).toLowerCase() === "error";
  if ((typeof code === "string" && code !== "") || (typeof code === "number" && generic))
    return `${classNameOf(error)}_${code}`;
  for (const name of ["status", "statusCode"]) {
    const status = read(error, name);
    if (typeof status === "number" && Number.isInteger(status) && status >= 400 && status <= 599)
      return `HTTP_${status}`;
  }
  return undefined;
}

function innerOf(error: unknown): readonly unknown[] {
  if (!isError(error)) return [];
  const errors = read(error, "errors");
  if (Array.isArray(errors)) return [...errors];
  if (classNameOf(error) !== "SuppressedError") return [];
  return [read(error, "error"), read(error, "suppressed")];
}

function stacks(error: unknown, before: string, seen: Set<unknown>): string[] {
  if (!isError(error) || seen.has(error) || seen.size > MAX_DEPTH + MAX_INNER) return [];
  seen.add(error);
  const stack = read(error, "stack");
  const own =
    typeof stack === "string" && stack !== "" ? stack : `${classNameOf(error)}: ${messageOf(error, 0)}`;
  return [
    `${before}${own}`,
    ...innerOf(error)
      .slice(0, MAX_INNER)
      .flatMap((each) => stacks(each, "One of them: ", seen)),
    ...stacks(read(error, "cause"), "Caused by: ", seen),
  ];
}

function isError(error: unknown): error is object {
  return error instanceof Error || types.isNativeError(error);
}

function isObject(value: unknown): value is object {
  return (typeof value === "object" && value !== null) || typeof value === "function";
}

/** A property of anything; undefined when there is none or its getter throws. */
function read(from: unknown, name: string): unknown {
  if (!isObject(from)) return undefined;
  try {
    return Reflect.get(from, name);
  } catch {
    return undefined;
  }
}

function shown(value: unknown): string {
  try {
    return inspect(value, {
      depth: 2,
      breakLength: Number.POSITIVE_INFINITY,
      maxArrayLength: 20,
      maxStringLength: MAX_SHOWN,
    });
  } catch {
    // Its own inspect function threw.
    return typeof value;
  }
}
