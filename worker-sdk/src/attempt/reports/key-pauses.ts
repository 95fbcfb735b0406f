/** Pauses of rate limit keys that handlers ask for, until the scheduler answers. */
import { type Clock, wallClock } from "../../clock.ts";
import { KeyPauseError } from "../../errors.ts";
import type { Link } from "../../link/link.ts";
import type { FromLink } from "../../link/messages.ts";

/** Longest pause that a scheduler takes, milliseconds: 7 days. */
const MAX_PAUSE_MS = 7 * 24 * 3_600_000;

interface Pending {
  readonly key: string;
  readonly resolve: (until: Date) => void;
  readonly reject: (error: KeyPauseError) => void;
}

export class KeyPauses {
  readonly #clock: Clock;
  readonly #link: Pick<Link, "send">;
  readonly #pending = new Map<number, Pending>();
  #last = 0;

  constructor(clock: Clock, link: Pick<Link, "send">) {
    this.#clock = clock;
    this.#link = link;
  }

  /**
   * Asks for a pause of a key; resolves with its end when it is stored.
   *
   * @throws TypeError, RangeError when an argument is not valid.
   */
  ask(attemptId: string, key: string, until: Date | number, reason: string): Promise<Date> {
    if (typeof key !== "string" || key === "")
      throw new TypeError(`pauseKey(${String(key)}): give the key of a rate limit, a text that is not empty`);
    const ms = until instanceof Date ? until.getTime() - wallClock().getTime() : Number(until) * 1_000;
    if (!(ms > 0 && ms <= MAX_PAUSE_MS))
      throw new RangeError(
        `pauseKey("${key}"): until is ${until instanceof Date && !Number.isNaN(until.getTime()) ? until.toISOString() : String(until)}; give a moment or seconds within the next 7 days`,
      );
    this.#last += 1;
    const requestId = this.#last;
    const untilMs = this.#clock.monotonicMs() + ms;
    const { promise, resolve, reject } = Promise.withResolvers<Date>();
    this.#pending.set(requestId, { key, resolve, reject });
    this.#link.send({ kind: "pauseKey", requestId, attemptId, key, untilMs, reason: String(reason) });
    // A handler need not wait for the answer: then a refusal must not end the process.
    promise.catch(() => undefined);
    return promise;
  }

  /** The scheduler answered. Returns the refused key; undefined when it is paused. */
  answered({
    requestId,
    leftMs,
    error,
  }: Extract<FromLink, { kind: "keyPauseAnswered" }>): string | undefined {
    const pending = this.#pending.get(requestId);
    if (!pending) return undefined;
    this.#pending.delete(requestId);
    if (leftMs !== undefined) {
      pending.resolve(new Date(wallClock().getTime() + leftMs));
      return undefined;
    }
    pending.reject(new KeyPauseError(`The key "${pending.key}" was not paused: ${error}.`));
    return pending.key;
  }
}
