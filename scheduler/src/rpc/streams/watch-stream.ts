/** A stream of answers to a watcher. */
import type { Clock } from "../../clock.ts";
import { Refusal } from "../../domain/errors.ts";

/** How streams of watchers are kept, and for how long. */
export interface WatchLimits {
  /** Interval of empty messages on a watch without changes, so that no proxy closes it as dead, milliseconds. */
  readonly heartbeatMs: number;
  /** A watch ends after this, within a tenth, so that watchers spread over schedulers; 0: never. */
  readonly maxAgeMs: number;
}

/** How far a watch may end before or after its time, as a part of it: those of one moment do not come back in one. */
const JITTER = 0.1;

/**
 * The messages of a watch, an empty one whenever none came for a while, and an end when it is old.
 *
 * @param open Begins the watch; its signal aborts when the watch is over.
 * @param empty What shows that the stream lives.
 * @throws Refusal `STREAM_AGED`
 */
export async function* keptAlive<T>(
  open: (signal: AbortSignal) => AsyncIterable<T>,
  empty: () => T,
  context: { signal: AbortSignal; clock: Clock; limits: WatchLimits },
): AsyncGenerator<T, void, undefined> {
  const { signal, clock, limits } = context;
  const over = new AbortController();
  const messages = open(AbortSignal.any([signal, over.signal]))[Symbol.asyncIterator]();
  const age = limits.maxAgeMs * (1 - JITTER + 2 * JITTER * Math.random());
  const endsAt = limits.maxAgeMs === 0 ? Number.POSITIVE_INFINITY : clock.monotonic() + age;
  let next = messages.next();
  try {
    for (;;) {
      const left = endsAt - clock.monotonic();
      if (left <= 0) throw aged(limits.maxAgeMs);
      const came = await within(next, Math.min(limits.heartbeatMs, left), clock);
      if (came?.done) return;
      if (came) {
        yield came.value;
        next = messages.next();
      } else if (clock.monotonic() < endsAt) {
        yield empty();
      }
    }
  } finally {
    over.abort();
    // The stream has ended by now, with its reader or with the error thrown above. A watch only reads, so what it fails
    // with afterwards, mostly this abort, changes nothing and has no stream to go to.
    next.catch(() => undefined);
    messages.return?.().catch(() => undefined);
  }
}

/** What a promise gives, if it does within `ms`. */
async function within<T>(promise: Promise<T>, ms: number, clock: Clock): Promise<T | undefined> {
  const waited = new AbortController();
  try {
    return await Promise.race([promise, clock.sleep(ms, waited.signal).then(() => undefined)]);
  } finally {
    waited.abort();
  }
}

function aged(maxAgeMs: number): Refusal {
  return new Refusal(
    "unavailable",
    "STREAM_AGED",
    `this stream has lasted about ${maxAgeMs / 1_000} s, the longest that it may; nothing is wrong: watch again`,
    { retryDelayMs: 0 },
  );
}
