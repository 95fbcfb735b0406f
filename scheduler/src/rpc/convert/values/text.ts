// Text from outside, as PostgreSQL and log lines can hold it.
import { cut, cutToEnd } from "@muster/common/text/text";

/**
 * Text that Postgres can store and log lines can carry: without NUL, cut to a length, and without the half
 * of a character.
 */
export function storable(text: string, max: number): string {
  const whole = text.includes("\0") ? text.replaceAll("\0", "\u{FFFD}") : text;
  return whole.length > max || !whole.isWellFormed() ? cut(whole, max).toWellFormed() : whole;
}

/** The same for names and values of a map, of which at most `maxEntries` are kept. */
export function storableEntries(
  entries: Readonly<Record<string, string>>,
  maxEntries: number,
  maxValue: number,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(entries)
      .slice(0, maxEntries)
      .map(([name, value]) => [storable(name, 128), storable(value, maxValue)]),
  );
}

/** The same for the end of a text: the beginning is cut off. */
export function storableEnd(text: string, max: number): string {
  return storable(cutToEnd(text, max), max);
}

/** Whether Postgres can store a text as it is. */
export function isStorable(text: string): boolean {
  return !text.includes("\0") && text.isWellFormed();
}
