/** Ends the connection: drain, Goodbye, end of the stream. */
import type { Clock } from "../../clock.ts";

/** Longest wait after Goodbye for the scheduler to end the stream. */
const GOODBYE_MS = 1000;

/** Longest wait for lines of handlers once no result is pending. */
const LAST_LINES_MS = 2000;

/** Parts of the connection that a planned end uses. */
export interface ShutdownOptions {
  readonly clock: Clock;
  /** Results that the scheduler has not acknowledged. */
  readonly pendingResults: () => number;
  /** Lines of handlers wait, or are not acknowledged. */
  readonly pendingLogs: () => boolean;
  /** Registered at least once. */
  readonly registered: () => boolean;
  /** Writes what is queued, then Goodbye; false without a stream. */
  readonly sendGoodbye: (reason: string) => boolean;
  /** Everything is over. */
  readonly end: () => void;
}

/** A planned end: waits until results are acknowledged, sends Goodbye, and ends with the stream. */
export class Shutdown {
  readonly #parts: ShutdownOptions;
  #reason: string | undefined;
  #goodbyeSent = false;
  #waitsForLogs = false;
  #cancelTimer: () => void = () => undefined;
  #cancelLogTimer: () => void = () => undefined;

  constructor(parts: ShutdownOptions) {
    this.#parts = parts;
  }

  /** Goodbye is sent: a stream that ends now is not a lost connection. */
  get goodbyeSent(): boolean {
    return this.#goodbyeSent;
  }

  /** Ends once no result is pending, at the latest after `flushMs`. */
  begin(reason: string, flushMs: number): void {
    if (this.#reason !== undefined) return;
    this.#reason = reason;
    this.#cancelTimer = this.#parts.clock.after(flushMs, () => this.#finish(reason));
    this.endWhenAcknowledged();
  }

  /** A result was acknowledged, or there is a stream again. */
  endWhenAcknowledged(): void {
    if (this.#reason === undefined || this.#goodbyeSent) return;
    if (!this.#parts.registered()) return this.#finish(this.#reason);
    if (this.#parts.pendingResults() > 0) return;
    if (!this.#parts.pendingLogs()) return this.#finish(this.#reason);
    if (this.#waitsForLogs) return;
    this.#waitsForLogs = true;
    const reason = this.#reason;
    this.#cancelLogTimer = this.#parts.clock.after(LAST_LINES_MS, () => this.#finish(reason));
  }

  /** The stream ended. */
  disconnected(): void {
    const nothingLeft = this.#reason !== undefined && this.#parts.pendingResults() === 0;
    if (this.#goodbyeSent || nothingLeft) this.#end();
  }

  #finish(reason: string): void {
    if (this.#goodbyeSent) return;
    this.#goodbyeSent = true;
    this.#cancelLogTimer();
    this.#cancelTimer();
    if (!this.#parts.sendGoodbye(reason)) return this.#end();
    // A stream that ends now ends the link, by `disconnected`.
    this.#cancelTimer = this.#parts.clock.after(GOODBYE_MS, () => this.#end());
  }

  #end(): void {
    this.#cancelLogTimer();
    this.#cancelTimer();
    this.#parts.end();
  }
}
