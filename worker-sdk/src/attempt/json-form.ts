/** Finds parts of a value that JSON would change. */
import { types } from "node:util";

/** A part of a value that JSON would drop, empty or turn into null. */
export interface JsonFault {
  /** What it is and where, for example `a Map at .pages[0].index`. */
  readonly what: string;
  /** What to give instead. */
  readonly instead: string;
}

/** True for a Uint8Array of this realm or another (a vm context, a test runner). */
export function isBytes(value: unknown): value is Uint8Array {
  return types.isUint8Array(value);
}

/**
 * Finds what `JSON.stringify` would lose without an error, such as a Map or a NaN. The value must have passed it
 * before: that refuses cycles and values that are too deep. A value with a `toJSON` (a Date) decides for itself;
 * `undefined` in an object is dropped, as usual.
 */
export function findJsonFault(value: unknown, path = ""): JsonFault | undefined {
  switch (typeof value) {
    case "string":
    case "boolean":
    case "undefined":
      return undefined;
    case "number":
      return Number.isFinite(value)
        ? undefined
        : fault(String(value), path, "null, or a text that says what it means");
    case "object":
      return value === null ? undefined : objectFault(value, path);
    default:
      return fault(`a ${typeof value}`, path, "a number, a text or a plain object");
  }
}

function objectFault(value: object, path: string): JsonFault | undefined {
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index += 1) {
      const found = findJsonFault(value[index], path);
      if (found !== undefined) return findJsonFault(value[index], `${path}[${index}]`);
    }
    return undefined;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  const plain = prototype === Object.prototype || prototype === null;
  if (!plain) {
    const special = specialFault(value, path);
    if (special !== undefined) return special;
    if ("toJSON" in value && typeof value.toJSON === "function") return invalidDate(value, path);
  } else if ("toJSON" in value && typeof value.toJSON === "function") return undefined;
  const keys = Object.keys(value);
  if (!plain && keys.length === 0 && !types.isBoxedPrimitive(value) && !isPlainElsewhere(prototype)) {
    return fault(withArticle(classOf(value)), path, "a plain object with what is wanted of it");
  }
  for (const key of keys) {
    const each: unknown = value[key as keyof typeof value];
    // The path is made only for a fault.
    if (findJsonFault(each, path) !== undefined) return findJsonFault(each, `${path}${step(key)}`);
  }
  return undefined;
}

/** Built-in types that JSON turns into `{}` or into numbers by index. */
function specialFault(value: object, path: string): JsonFault | undefined {
  if (types.isMap(value)) return fault("a Map", path, "Object.fromEntries(map) or [...map]");
  if (types.isSet(value)) return fault("a Set", path, "[...set]");
  if (types.isPromise(value)) return fault("a Promise", path, "what it resolves to: await it");
  if (types.isAnyArrayBuffer(value)) return bytesFault(classOf(value), path, "new Uint8Array(buffer)");
  if (ArrayBuffer.isView(value)) {
    const numbers = types.isTypedArray(value) && !isBytes(value) ? "Array.from(it) for its numbers, or " : "";
    const bytes = "new Uint8Array(it.buffer, it.byteOffset, it.byteLength)";
    return bytesFault(classOf(value), path, isBytes(value) ? "the bytes alone" : bytes, numbers);
  }
  if (types.isNativeError(value)) return fault(withArticle(classOf(value)), path, "its message, or throw it");
  return undefined;
}

function bytesFault(name: string, path: string, alone: string, first = ""): JsonFault {
  const inside = `${first}Buffer.from(...).toString("base64") as a text`;
  return fault(withArticle(name), path, path === "" ? `${first}${alone} for its bytes` : inside);
}

function withArticle(name: string): string {
  return `${/^[AEIO]/.test(name) ? "an" : "a"} ${name}`;
}

function invalidDate(value: object, path: string): JsonFault | undefined {
  return types.isDate(value) && Number.isNaN(value.getTime())
    ? fault("an invalid Date", path, "a valid one or null")
    : undefined;
}

function fault(what: string, path: string, instead: string): JsonFault {
  return { what: path === "" ? what : `${what} at ${path.slice(0, 200)}`, instead };
}

/** The prototype of plain objects in another realm. */
function isPlainElsewhere(prototype: unknown): boolean {
  return typeof prototype === "object" && prototype !== null && Object.getPrototypeOf(prototype) === null;
}

function classOf(value: object): string {
  const made: unknown = value.constructor;
  return (typeof made === "function" && made.name) || "value without a class";
}

function step(key: string): string {
  return /^[A-Za-z_$][\w$]*$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
}

/** A payload as JSON; `undefined` becomes `null`. @throws TypeError when it has no JSON form. */
export function jsonTextOf(type: string, payload: unknown): string {
  const text = stringify(type, payload === undefined ? null : payload);
  const fault = findJsonFault(payload);
  if (text === undefined || fault !== undefined) {
    const { what, instead } = fault ?? { what: `a ${typeof payload}`, instead: "a plain object" };
    throw new TypeError(
      `Task ${type}: the payload is or has ${what}, which has no JSON form; give ${instead}.`,
    );
  }
  return text;
}

/** As JSON.stringify, whose errors name no task. */
function stringify(type: string, value: unknown): string | undefined {
  try {
    return JSON.stringify(value);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const what = why.includes("BigInt")
      ? "has a BigInt, which has no JSON form; give a number or a text"
      : `has no JSON form: ${why}`;
    throw new TypeError(`Task ${type}: the payload ${what}.`, { cause: error });
  }
}
