/** Parses moments in ISO 8601. */

/** @throws RangeError for a text that is none. */
export function parseMoment(text: string): Date {
  const date = new Date(text);
  if (Number.isNaN(date.getTime()))
    throw new RangeError(`"${text}" is no moment in ISO 8601, for example 2026-03-29T02:30:00+01:00`);
  return date;
}
