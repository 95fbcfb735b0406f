import type { Clock } from "../../clock.ts";

/** How long a goodbye waits for the scheduler to end the stream. */
const GOODBYE_MS = 1000;

/** What a planned end needs of the connection. */
export interface LeavingParts {
  readonly clock: Clock;
  /** Results that the scheduler has not acknowledged. */
  readonly pendingResults: () => number;
  /** Registered at least once. */
  readonly registered: () => boolean;
  /** Writes what is left and says goodbye; false when there is no stream to say it on. */
  readonly sayGoodbye: (reason: string) => boolean;
  /** Everything is over. */
  readonly end: () => void;
}

/** A planned end: waits for the results' acknowledgements, says goodbye, and ends with the stream. */
export class Leaving {
  readonly #parts: LeavingParts;
  #reason: string | undefined;
  #saidGoodbye = false;
  #cancelTimer: () => void = () => undefined;

  constructor(parts: LeavingParts) {
    this.#parts = parts;
  }

  /** The goodbye is said: a stream that ends now is no lost connection. */
  get saidGoodbye(): boolean {
    return this.#saidGoodbye;
  }

  /** Leaves when nothing is pending any more, at the latest after `flushMs`. */
  begin(reason: string, flushMs: number): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#cancelTimer = this.#parts.clock.after(flushMs, () => this.#leave(reason));
    this.whenSettled();
  }

  /** Something was settled, or there is a stream again. */
  whenSettled(): void {
    if (this.#reason === undefined || this.#saidGoodbye) return;
    if (this.#parts.pendingResults() === 0 || !this.#parts.registered()) this.#leave(this.#reason);
  }

  /** The stream ended. */
  disconnected(): void {
    const nothingLeft = this.#reason !== undefined && this.#parts.pendingResults() === 0;
    if (this.#saidGoodbye || nothingLeft) this.#end();
  }

  #leave(reason: string): void {
    if (this.#saidGoodbye) return;
    this.#saidGoodbye = true;
    this.#cancelTimer();
    if (!this.#parts.sayGoodbye(reason)) return this.#end();
    // A stream that ends now ends the link, by `disconnected`.
    this.#cancelTimer = this.#parts.clock.after(GOODBYE_MS, () => this.#end());
  }

  #end(): void {
    this.#cancelTimer();
    this.#parts.end();
  }
}
