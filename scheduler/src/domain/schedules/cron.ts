/** The ticks of a cron expression in a time zone. */
import { Cron } from "croner";
import { type OffsetChange, TimeZone } from "./time-zone.ts";

// The library reads the expression and walks the calendar, in UTC; the time zone is applied here. Its own zones skip
// `*/30 2 * * *` on the day without a 02:30, and run it twice on the day with two.

/**
 * A cron expression in a time zone.
 *
 * - A local time that the clock skips is moved forward by what the clock skips: 02:30 becomes 03:30. Ticks that fall
 *   together are one tick.
 * - A local time that comes twice counts the first time. When the hour field is `*`, it counts both times: every quarter
 *   of an hour is so on every day.
 */
export class CronTimes {
  readonly #calendar: Cron;
  readonly #zone: TimeZone;
  readonly #everyHour: boolean;

  /** @throws Error for an expression or a time zone that is not valid. */
  constructor(expression: string, timezone: string) {
    this.#calendar = new Cron(expression, { timezone: "UTC", paused: true, mode: "5-or-6-parts" });
    this.#zone = new TimeZone(timezone);
    this.#everyHour = hourField(expression) === "*";
  }

  /** The first tick after a moment; undefined when the expression has none any more. */
  nextAfter(ms: number): number | undefined {
    const offset = this.#zone.offsetAt(ms + 1);
    const change = this.#zone.changeBefore(ms + 1);
    const skipped = change && change.after > change.before ? this.#skippedTime(ms, change) : undefined;
    const secondPass = change && change.after < change.before && !this.#everyHour;
    const from = secondPass ? Math.max(ms + offset, change.atMs + change.before - 1) : ms + offset;
    const local = this.#localAfter(from);
    return earlier(skipped, local === undefined ? undefined : this.#moment(ms, local, offset));
  }

  /** The moment of a local time that the clock skipped, when it is after `ms`. */
  #skippedTime(ms: number, { atMs, before, after }: OffsetChange): number | undefined {
    const local = this.#localAfter(ms + before);
    return local !== undefined && local < atMs + after ? local - before : undefined;
  }

  /** The moment of the next local time, when the offset after `ms` may not be the one that applies. */
  #moment(ms: number, local: number, offset: number): number | undefined {
    const moment = local - offset;
    if (this.#zone.offsetAt(moment) === offset) return moment;
    return this.nextAfter(this.#zone.changeBetween(ms + 1, moment).atMs - 1);
  }

  /** The first match of the expression after a local time, which is written as if it were UTC. */
  #localAfter(local: number): number | undefined {
    return this.#calendar.nextRun(new Date(local))?.getTime();
  }
}

function earlier(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

/** Names such as `@hourly` stand for expressions; only that one has every hour. */
function hourField(expression: string): string {
  const fields = expression.trim().split(/\s+/);
  if (fields.length === 1) return fields[0]?.toLowerCase() === "@hourly" ? "*" : "";
  return fields.at(-4) ?? "";
}
