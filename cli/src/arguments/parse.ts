/** Turns parsers of values into parsers of command-line arguments. */
import { InvalidArgumentError } from "commander";

/** Turns a parser that throws into one whose errors commander shows as wrong usage. */
export function argument<T>(parse: (text: string) => T): (text: string) => T {
  return (text) => {
    try {
      return parse(text);
    } catch (error) {
      throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
    }
  };
}

/** A parser of whole numbers within bounds. */
export function wholeNumber(min: number, max: number): (text: string) => number {
  return argument((text) => {
    const value = Number(text);
    if (!/^[+-]?\d+$/.test(text) || value < min || value > max) {
      throw new RangeError(`"${text}" is not a whole number from ${min} to ${max}`);
    }
    return value;
  });
}

/** A parser of a repeated `key=value` option that collects a record. Only the first `=` divides. */
export function keyValue(
  text: string,
  before: Readonly<Record<string, string>> = {},
): Record<string, string> {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError(`"${text}" is not key=value, for example team=vision`);
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) };
}

/** A parser of a repeated option that collects a list. */
export function collect(text: string, before: readonly string[] = []): string[] {
  return [...before, text];
}

/**
 * A parser of a repeated or comma-separated option whose values are names of an enum, in lower case.
 * `UNSPECIFIED`, which the scheduler refuses, is not among the names.
 */
export function enumNames<E extends Readonly<Record<string, number>>>(
  values: E,
): (text: string, before?: readonly E[keyof E][]) => E[keyof E][] {
  const names = enumChoices(values);
  return (text, before = []) => {
    const found = text.split(",").map((part) => {
      const name = part.trim().toLowerCase();
      const value = values[name.toUpperCase() as keyof E];
      if (value === undefined || !names.includes(name)) {
        throw new InvalidArgumentError(`"${part.trim()}" is none of: ${names.join(", ")}`);
      }
      return value;
    });
    return [...before, ...found];
  };
}

/** The same for an option that takes one name. */
export function enumNameOf<E extends Readonly<Record<string, number>>>(
  values: E,
): (text: string) => E[keyof E] {
  const parse = enumNames(values);
  return (text) => {
    const [value, ...others] = parse(text);
    if (value === undefined || others.length > 0)
      throw new InvalidArgumentError(`"${text}" is not one of: ${enumChoices(values).join(", ")}`);
    return value;
  };
}

/** The names that `enumNames` takes. */
export function enumChoices(values: Readonly<Record<string, number>>): string[] {
  return Object.keys(values)
    .filter((name) => name !== "UNSPECIFIED")
    .map((name) => name.toLowerCase());
}
