/** Sends a fatal report until it is acknowledged. */
import type { Clock } from "../../clock.ts";
import { encode, startupPhase } from "../codec/wire.ts";
import type { FatalMessage, StartupPhaseMessage } from "../messages.ts";
import type { Dialer } from "./dialer.ts";
import type { StreamEnd } from "./stream-end.ts";

/** A report that is not answered within this is sent again on a new connection. */
const ANSWER_MS = 400;

/** Wait before the report is sent again. */
const REDIAL_MS = 50;

/** Longest wait for the acknowledgement of results that have to come before the report. */
const RESULTS_MS = 1_000;

/** Callbacks of a fatal sender. */
export interface FatalSenderListener {
  /** Returns the startup phases that are not sent yet; they count as sent afterwards. */
  unsentPhases(): readonly StartupPhaseMessage[];
  /** Results that the scheduler has not acknowledged. */
  pendingResults(): number;
  /** The scheduler has taken the report, or refused it. */
  answered(accepted: boolean): void;
}

/** Sends the fatal report on the current stream, or on a new one, until the scheduler answers. */
export class FatalSender {
  readonly #clock: Clock;
  readonly #dialer: Dialer;
  readonly #owner: FatalSenderListener;
  #fatal: FatalMessage | undefined;
  #waiting: (() => void) | undefined;

  constructor(clock: Clock, dialer: Dialer, owner: FatalSenderListener) {
    this.#clock = clock;
    this.#dialer = dialer;
    this.#owner = owner;
  }

  /** Sends the first report; later ones are ignored. */
  send(fatal: FatalMessage): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = fatal;
    this.#dialer.stop();
    if (fatal.afterResults !== true || this.#owner.pendingResults() === 0 || !this.#dialer.up)
      return this.#send(fatal);
    const go = (): void => {
      cancel();
      this.#waiting = undefined;
      this.#send(fatal);
    };
    const cancel = this.#clock.after(RESULTS_MS, go);
    this.#waiting = go;
  }

  /** Results were acknowledged. */
  resultsAcknowledged(): void {
    if (this.#owner.pendingResults() === 0) this.#waiting?.();
  }

  /** A stream ended, perhaps the one of the report. */
  streamEnded(end: StreamEnd): void {
    const fatal = this.#fatal;
    if (fatal === undefined) return;
    // It was not sent on this one.
    if (this.#waiting !== undefined) return this.#waiting();
    if (end.status === "OK") this.#owner.answered(true);
    else if (end.verdict) this.#owner.answered(false);
    // Main waits for a bounded time and then ends this thread.
    else this.#clock.after(REDIAL_MS, () => this.#send(fatal));
  }

  #send(fatal: FatalMessage): void {
    if (this.#dialer.stream === undefined) this.#dialer.dialOnce();
    const stream = this.#dialer.stream;
    if (stream === undefined) return;
    // The failed phase comes before the error that it caused.
    for (const phase of this.#owner.unsentPhases()) {
      stream.write(encode({ case: "startupPhase", value: startupPhase(phase) }));
    }
    // The scheduler ends the stream once it has read everything.
    stream.write(encode({ case: "workerFatal", value: fatal }), () => stream.end());
    // A connection that was cut silently never ends: a new one may work.
    this.#clock.after(ANSWER_MS, () => {
      if (!stream.ended) stream.cut("the fatal report was not answered");
    });
  }
}
