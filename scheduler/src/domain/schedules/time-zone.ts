/** Offsets of time zones from UTC, and where they change. */

/** The offsets of a zone change at most once within this time, milliseconds. */
const APART_MS = 25 * 3_600_000;

/** A change of a zone's offset. Offsets are milliseconds to add to UTC. */
export interface OffsetChange {
  /** First moment with the new offset, milliseconds since the epoch. */
  readonly atMs: number;
  readonly before: number;
  readonly after: number;
}

/** True for a name of the time zone database. */
export function isTimeZone(name: string): boolean {
  try {
    formatterOf(name);
    return true;
  } catch (error) {
    if (error instanceof RangeError) return false;
    throw error;
  }
}

/** A time zone by the data of the running Node. */
export class TimeZone {
  readonly #formatter: Intl.DateTimeFormat;

  /** @throws RangeError for an unknown name. */
  constructor(name: string) {
    this.#formatter = formatterOf(name);
  }

  /** Milliseconds that local time is ahead of UTC at a moment. */
  offsetAt(ms: number): number {
    const parts = new Map(this.#formatter.formatToParts(ms).map(({ type, value }) => [type, Number(value)]));
    const part = (type: Intl.DateTimeFormatPartTypes) => parts.get(type) ?? 0;
    const local = Date.UTC(
      part("year"),
      part("month") - 1,
      part("day"),
      part("hour"),
      part("minute"),
      part("second"),
    );
    return local - Math.floor(ms / 1_000) * 1_000;
  }

  /** The change that was in the 25 hours up to a moment, if there was one. */
  changeBefore(ms: number): OffsetChange | undefined {
    const from = ms - APART_MS;
    return this.offsetAt(from) === this.offsetAt(ms) ? undefined : this.changeBetween(from, ms);
  }

  /** A change between two moments whose offsets differ. */
  changeBetween(fromMs: number, toMs: number): OffsetChange {
    const before = this.offsetAt(fromMs);
    let [low, high] = [Math.floor(fromMs / 1_000), Math.ceil(toMs / 1_000)];
    while (high - low > 1) {
      const middle = Math.floor((low + high) / 2);
      if (this.offsetAt(middle * 1_000) === before) low = middle;
      else high = middle;
    }
    const atMs = high * 1_000;
    return { atMs, before, after: this.offsetAt(atMs) };
  }
}

const FORMATTERS = new Map<string, Intl.DateTimeFormat>();

/** Making one takes 30 µs; there are fewer zones than the map could grow to, whatever the case of their letters. */
function formatterOf(timeZone: string): Intl.DateTimeFormat {
  const name = timeZone.toLowerCase();
  let formatter = FORMATTERS.get(name);
  if (!formatter) {
    formatter = new Intl.DateTimeFormat("en-US", {
      timeZone,
      calendar: "gregory",
      numberingSystem: "latn",
      hourCycle: "h23",
      year: "numeric",
      month: "numeric",
      day: "numeric",
      hour: "numeric",
      minute: "numeric",
      second: "numeric",
    });
    FORMATTERS.set(name, formatter);
  }
  return formatter;
}
