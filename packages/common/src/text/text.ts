/** What stands where a quoted text was cut. */
const ELLIPSIS = "...";

/** The first `max` UTF-16 units of a text at most; a character that two units make up is not cut in half. */
export function cut(text: string, max: number): string {
  if (text.length <= max) return text;
  return text.slice(0, max > 0 && isHighSurrogate(text.charCodeAt(max - 1)) ? max - 1 : max);
}

/** The last `max` UTF-16 units at most, likewise. */
export function cutToEnd(text: string, max: number): string {
  if (text.length <= max) return text;
  const start = text.length - max;
  return text.slice(isLowSurrogate(text.charCodeAt(start)) ? start + 1 : start);
}

/** The first `max` UTF-16 units at most, well-formed: half a character cannot be written as UTF-8. */
export function cutWellFormed(text: string, max: number): string {
  return (text.length > max ? text.slice(0, max) : text).toWellFormed();
}

/**
 * A text as an error quotes it: in quotation marks, cut to `max` UTF-16 units with an ellipsis, with escapes for what a
 * terminal or a header must not get.
 */
export function quoted(text: string, max = 64): string {
  const shown = JSON.stringify(cut(text, max)).replaceAll(UNPRINTABLE, escaped);
  return text.length > max ? `${shown}${ELLIPSIS}` : shown;
}

// DEL, the C1 controls, and marks that change the direction of the text that follows; JSON escapes the rest.
const UNPRINTABLE = /[\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}
