/** The record of searches for a worker, for explanations. */
import { FILTERS, type Filter, NEAREST_FIRST } from "./match.ts";

/** What the matcher last saw when it looked for a worker for a class. Ages are milliseconds. */
export interface MatchRecord {
  /** Workers of this scheduler that were looked at. */
  readonly lookedAt: number;
  /** Whether one was found that may be given a task. */
  readonly found: boolean;
  /** Workers removed by each filter, with one of them as the example. */
  readonly removed: ReadonlyMap<Filter, { readonly count: number; readonly example: string }>;
  /** Since the look; undefined before the first one. */
  readonly ageMs: number | undefined;
  /** Since a look last found a worker; undefined when none ever did. */
  readonly foundAgeMs: number | undefined;
  /** The removing filter that is nearest to being lifted; undefined when one was found or no worker is connected. */
  readonly nearest: Filter | undefined;
  /** For how long searches without a result have ended at that filter. */
  readonly nearestAgeMs: number;
}

/** Position of a filter in the counts. */
const AT: Readonly<Record<Filter, number>> = {
  type: 0,
  queue: 1,
  build: 2,
  labels: 3,
  capacity: 4,
  resources: 5,
  starting: 6,
  draining: 7,
  paused: 8,
  quarantined: 9,
  slots: 10,
  alone: 11,
  unanswered: 12,
};

/**
 * The matcher's own account of one class: written by the search that assigns work as it goes, read by
 * explanations. The lasting filters are counted when a worker comes, changes or goes, the passing ones at
 * every look at all workers. Keeping it costs 19 to 31 ns a look and 2 ns for each worker passed over, where a look by itself costs
 * 65 ns and 23 ns for each worker passed over.
 */
export class MatchLog {
  readonly #lasting = new Map<Filter, { count: number; example: string }>();
  readonly #counts = new Int32Array(FILTERS.length);
  readonly #examples: (string | undefined)[] = FILTERS.map(() => undefined);
  #lookedAt: number | undefined;
  #foundAt: number | undefined;
  #found = false;
  #fits = 0;
  #nearest: Filter | undefined;
  #nearestSince = 0;

  /** A worker came, or changed, that a lasting filter removes. */
  joined(filter: Filter, workerId: string): void {
    const entry = this.#lasting.get(filter);
    if (entry) entry.count++;
    else this.#lasting.set(filter, { count: 1, example: workerId });
  }

  /**
   * A worker went, or changed, that a lasting filter removed.
   *
   * @param successor Names another worker that the filter removes; asked only when the example has gone.
   */
  left(filter: Filter, workerId: string, successor: () => string | undefined): void {
    const entry = this.#lasting.get(filter);
    if (!entry) return;
    entry.count--;
    if (entry.count <= 0) this.#lasting.delete(filter);
    else if (entry.example === workerId) entry.example = successor() ?? entry.example;
  }

  /** A look begins. @param now Monotonic milliseconds, here and below. */
  begin(now: number): void {
    this.#counts.fill(0);
    this.#fits = 0;
    this.#lookedAt = now;
  }

  /** The look passed this worker over. */
  removed(filter: Filter, workerId: string): void {
    const at = AT[filter];
    const count = this.#counts[at] ?? 0;
    if (count === 0) this.#examples[at] = workerId;
    this.#counts[at] = count + 1;
  }

  /** The look ends; `found` when it found a worker. */
  end(found: boolean, now: number): void {
    this.#found = found;
    if (found) {
      this.#fits = 1;
      this.#foundAt = now;
      return;
    }
    const nearest = NEAREST_FIRST.find((filter) => this.#count(filter) > 0);
    if (nearest !== this.#nearest) {
      this.#nearest = nearest;
      this.#nearestSince = now;
    }
  }

  /** A search among a part of the workers found one; what removes the others is as of the last look. */
  met(now: number): void {
    this.#found = true;
    this.#foundAt = now;
  }

  /** A search that need not look at all of them found no worker. */
  missed(): void {
    this.#found = false;
  }

  /** True when what removes the workers is not known, or older than `everyMs`. */
  isDue(now: number, everyMs: number): boolean {
    return this.#nearest === undefined || this.#lookedAt === undefined || now - this.#lookedAt >= everyMs;
  }

  read(now: number): MatchRecord {
    const removed = new Map<Filter, { count: number; example: string }>();
    for (const filter of FILTERS) {
      const at = AT[filter];
      const lasting = this.#lasting.get(filter);
      const count = (this.#counts[at] ?? 0) + (lasting?.count ?? 0);
      const example = lasting?.example ?? this.#examples[at];
      if (count > 0 && example !== undefined) removed.set(filter, { count, example });
    }
    const counted = [...removed.values()].reduce((sum, { count }) => sum + count, 0);
    return {
      lookedAt: counted + this.#fits,
      found: this.#found,
      removed,
      ageMs: age(now, this.#lookedAt),
      foundAgeMs: age(now, this.#foundAt),
      nearest: this.#found ? undefined : this.#nearest,
      nearestAgeMs: now - this.#nearestSince,
    };
  }

  #count(filter: Filter): number {
    return (this.#counts[AT[filter]] ?? 0) + (this.#lasting.get(filter)?.count ?? 0);
  }
}

function age(now: number, at: number | undefined): number | undefined {
  return at === undefined ? undefined : now - at;
}
