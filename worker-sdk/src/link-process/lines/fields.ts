/** Reads the fields of a line, and collects what is wrong with them. */
import { cutWellFormed, quoted } from "@muster/common/text/text";

/** Longest text where a field has no other bound, in characters. */
export const MAX_TEXT = 4_096;

/** Longest time in seconds. */
const MAX_S = 2_000_000;

/** Reads fields of a parsed line. A field that is null is absent. */
export class Fields {
  readonly faults: string[] = [];
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(values: Readonly<Record<string, unknown>>) {
    this.#values = values;
  }

  has(name: string): boolean {
    return this.raw(name) !== undefined;
  }

  raw(name: string): unknown {
    const value = Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
    return value === null ? undefined : value;
  }

  /** A required field: `fallback` stands for one that is missing, which is a fault. */
  need<T>(name: string, value: T | undefined, fallback: T): T {
    if (value === undefined && !this.faults.some((fault) => fault.startsWith(`${name}:`)))
      this.faults.push(`${name}: is missing`);
    return value ?? fallback;
  }

  /** A text; a longer one is cut. */
  text(name: string, max = MAX_TEXT): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === "string") return cutWellFormed(value, max);
    return this.#fault(name, value, "a string");
  }

  /** A name: one that is longer is a fault. */
  name(name: string, max = 256): string | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (isName(value, max)) return value;
    return this.#fault(name, value, `a string of 1 to ${max} characters`);
  }

  integer(name: string, min: number, max: number): number | undefined {
    const value = this.number(name, min, max);
    if (value === undefined || Number.isInteger(value)) return value;
    return this.#fault(name, value, `an integer from ${min} to ${max}`);
  }

  number(name: string, min = -Number.MAX_VALUE, max = Number.MAX_VALUE): number | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === "number" && value >= min && value <= max) return value;
    const range = max === Number.MAX_VALUE ? (min === 0 ? " from 0" : "") : ` from ${min} to ${max}`;
    return this.#fault(name, value, `a number${range}`);
  }

  seconds(name: string): number | undefined {
    return this.number(name, 0, MAX_S);
  }

  flag(name: string): boolean {
    const value = this.raw(name);
    if (value === undefined || typeof value === "boolean") return value ?? false;
    return this.#fault(name, value, "true or false") ?? false;
  }

  oneOf<T extends string>(name: string, values: readonly T[]): T | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const known = values.find((each) => each === value);
    return known ?? this.#fault(name, value, `one of ${values.join(", ")}`);
  }

  /** A list of names. */
  names(name: string, max: number): string[] | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (Array.isArray(value) && value.length <= max && value.every((each) => isName(each, 256))) return value;
    return this.#fault(name, value, `a list of at most ${max} strings of 1 to 256 characters`);
  }

  /** An object whose values are all of one type. */
  record<T extends string | number>(
    name: string,
    type: T extends string ? "string" : "number",
    max: number,
  ): Record<string, T> | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    const entries = isObject(value) ? Object.entries(value) : undefined;
    if (entries !== undefined && entries.length <= max && entries.every(([, each]) => typeof each === type))
      return Object.fromEntries(entries) as Record<string, T>;
    return this.#fault(name, value, `an object of at most ${max} ${type}s`);
  }

  object(name: string): Readonly<Record<string, unknown>> | undefined {
    const value = this.raw(name);
    if (value === undefined || isObject(value)) return value;
    return this.#fault(name, value, "an object");
  }

  /** Bytes in base64. */
  base64(name: string): Uint8Array | undefined {
    const value = this.raw(name);
    if (value === undefined) return undefined;
    if (typeof value === "string" && /^[A-Za-z0-9+/]*={0,2}$/.test(value) && value.length % 4 === 0)
      return new Uint8Array(Buffer.from(value, "base64"));
    return this.#fault(name, value, "base64");
  }

  #fault(name: string, value: unknown, rule: string): undefined {
    this.faults.push(`${name}: ${shown(value)} is not ${rule}`);
  }
}

/** True for a plain object. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isName(value: unknown, max: number): value is string {
  return typeof value === "string" && value.length >= 1 && value.length <= max && !value.includes("\0");
}

/** A value of a line is shown by its form: it may hold anything. */
function shown(value: unknown): string {
  if (typeof value === "string") return quoted(value, 64);
  if (Array.isArray(value)) return `a list of ${value.length}`;
  return isObject(value) ? "an object" : String(value);
}
