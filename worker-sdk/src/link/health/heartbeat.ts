/** Builds heartbeats and observes their acknowledgements. */
import type { Clock } from "../../clock.ts";

/** Intervals without an acknowledgement after which the stream counts as dead. */
const UNANSWERED_INTERVALS = 3;

/** Shortest time from one heartbeat to an extra one. */
const SOON_MS = 20;

/** Callbacks of a heartbeat sender. */
export interface HeartbeatListener {
  /** Sends a heartbeat with the current facts. */
  send(sequence: bigint): void;
  /** No heartbeat was acknowledged for `silentMs`. Called once a stream. */
  unanswered(silentMs: number): void;
}

/** Sends a heartbeat every interval of a stream, and detects that they are not acknowledged. */
export class HeartbeatSender {
  readonly #clock: Clock;
  readonly #listener: HeartbeatListener;
  #sequence = 0n;
  #intervalMs = 0;
  #answeredAtMs = 0;
  #tickedAtMs = 0;
  #cancel: (() => void) | undefined;
  #cancelSoon: (() => void) | undefined;

  constructor(clock: Clock, listener: HeartbeatListener) {
    this.#clock = clock;
    this.#listener = listener;
  }

  /** Heartbeats sent since the process started. */
  get sent(): bigint {
    return this.#sequence;
  }

  /** Since a heartbeat was last answered on this stream, milliseconds. */
  get unansweredMs(): number {
    return this.#clock.monotonicMs() - this.#answeredAtMs;
  }

  /** Longest time without an acknowledgement on a healthy stream, milliseconds. */
  get answerWithinMs(): number {
    return UNANSWERED_INTERVALS * this.#intervalMs;
  }

  /** A stream is up: the first heartbeat is sent now. */
  start(intervalMs: number): void {
    this.stop();
    this.#intervalMs = intervalMs;
    this.#answeredAtMs = this.#clock.monotonicMs();
    this.#sendNext();
    this.#cancel = this.#clock.every(intervalMs, () => this.#tick());
  }

  /** Sends an extra heartbeat soon: a fact has changed that should not wait for the next one. */
  soon(): void {
    if (this.#cancel === undefined || this.#cancelSoon !== undefined) return;
    const waitMs = Math.max(0, this.#tickedAtMs + SOON_MS - this.#clock.monotonicMs());
    this.#cancelSoon = this.#clock.after(waitMs, () => {
      this.#cancelSoon = undefined;
      this.#sendNext();
    });
  }

  /** Sends an extra heartbeat now: what is sent next depends on it. */
  now(): void {
    if (this.#cancel === undefined) return;
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    this.#sendNext();
  }

  /** The stream is gone. */
  stop(): void {
    this.#cancelSoon?.();
    this.#cancelSoon = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  /** A heartbeat was answered. */
  answered(): void {
    this.#answeredAtMs = this.#clock.monotonicMs();
  }

  #tick(): void {
    const nowMs = this.#clock.monotonicMs();
    // A process that was stopped has read no acknowledgements: they get one interval.
    const slept = nowMs - this.#tickedAtMs > 2 * this.#intervalMs;
    if (slept) this.#answeredAtMs = Math.max(this.#answeredAtMs, nowMs - 2 * this.#intervalMs);
    const silentMs = nowMs - this.#answeredAtMs;
    if (silentMs >= UNANSWERED_INTERVALS * this.#intervalMs) {
      this.stop();
      this.#listener.unanswered(silentMs);
      return;
    }
    this.#sendNext();
  }

  #sendNext(): void {
    this.#tickedAtMs = this.#clock.monotonicMs();
    this.#sequence += 1n;
    this.#listener.send(this.#sequence);
  }
}
