/** The payload of assignments whose handlers a worker has not called yet, within the bytes that it takes ahead. */

import type { PayloadShortage } from "../../../domain/matching/match.ts";

/** Bytes that a worker takes ahead when it names none. */
export const DEFAULT_BYTES_AHEAD = 64 * 1024 * 1024;

/** Assumed size of the first payload: with the default limit 4,096 tasks may be planned before the size of one is known. */
const FIRST_ESTIMATE = 16 * 1024;

/** How much of the estimate an assignment of a smaller one leaves: after 32 small ones a large one is forgotten by half. */
const FORGETTING = 0.98;

/**
 * How large a payload is turns out when its task is claimed. Claims are planned with an estimate, the largest of the last
 * payloads; a claimed task that exceeds the limit is given back.
 */
export class PayloadsAhead {
  readonly maxBytes: number;
  #bytes = 0;
  #estimate = FIRST_ESTIMATE;
  #isFirst = true;

  /** @param maxBytes 0 for the default. */
  constructor(maxBytes = 0) {
    this.maxBytes = maxBytes || DEFAULT_BYTES_AHEAD;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Whether a further claim may be planned. @param planned Claims whose answer is not there yet. */
  hasRoom(planned: number): boolean {
    if (this.#bytes === 0 && planned === 0) return true;
    return this.#bytes + (planned + 1) * this.#estimate <= this.maxBytes;
  }

  /** What is ahead and does not leave room for a further claim; undefined when there is room. */
  shortage(planned: number): PayloadShortage | undefined {
    if (this.hasRoom(planned)) return undefined;
    const { maxBytes } = this;
    return { bytes: this.#bytes, nextBytes: Math.ceil((planned + 1) * this.#estimate), maxBytes };
  }

  /** Counts a payload that is to be sent; false when it exceeds the limit. A single one never does. */
  take(bytes: number): boolean {
    this.#estimate = this.#isFirst ? bytes : Math.max(bytes, this.#estimate * FORGETTING);
    this.#isFirst = false;
    if (this.#bytes > 0 && this.#bytes + bytes > this.maxBytes) return false;
    this.#bytes += bytes;
    return true;
  }

  /** Counts a payload that the worker has already. */
  add(bytes: number): void {
    this.#bytes += bytes;
  }

  /** The handler of a counted payload was called, or its attempt is over. */
  free(bytes: number): void {
    this.#bytes -= bytes;
  }
}
