import type { Clock } from "../../clock.ts";

/** How long a goodbye waits for the scheduler to end the stream. */
const GOODBYE_MS = 1000;

/** What a planned end needs of the connection. */
export interface ShutdownOptions {
  readonly clock: Clock;
  /** Results that the scheduler has not acknowledged. */
  readonly pendingResults: () => number;
  /** Registered at least once. */
  readonly registered: () => boolean;
  /** Writes what is left and says goodbye; false when there is no stream to say it on. */
  readonly sendGoodbye: (reason: string) => boolean;
  /** Everything is over. */
  readonly end: () => void;
}

/** A planned end: waits for the results' acknowledgements, says goodbye, and ends with the stream. */
export class Shutdown {
  readonly #parts: ShutdownOptions;
  #reason: string | undefined;
  #goodbyeSent = false;
  #cancelTimer: () => void = () => undefined;

  constructor(parts: ShutdownOptions) {
    this.#parts = parts;
  }

  /** The goodbye is said: a stream that ends now is no lost connection. */
  get goodbyeSent(): boolean {
    return this.#goodbyeSent;
  }

  /** Leaves when nothing is pending any more, at the latest after `flushMs`. */
  begin(reason: string, flushMs: number): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#cancelTimer = this.#parts.clock.after(flushMs, () => this.#endNow(reason));
    this.endWhenAcknowledged();
  }

  /** Something was settled, or there is a stream again. */
  endWhenAcknowledged(): void {
    if (this.#reason === undefined || this.#goodbyeSent) return;
    if (this.#parts.pendingResults() === 0 || !this.#parts.registered()) this.#endNow(this.#reason);
  }

  /** The stream ended. */
  disconnected(): void {
    const nothingLeft = this.#reason !== undefined && this.#parts.pendingResults() === 0;
    if (this.#goodbyeSent || nothingLeft) this.#end();
  }

  #endNow(reason: string): void {
    if (this.#goodbyeSent) return;
    this.#goodbyeSent = true;
    this.#cancelTimer();
    if (!this.#parts.sendGoodbye(reason)) return this.#end();
    // A stream that ends now ends the link, by `disconnected`.
    this.#cancelTimer = this.#parts.clock.after(GOODBYE_MS, () => this.#end());
  }

  #end(): void {
    this.#cancelTimer();
    this.#parts.end();
  }
}
