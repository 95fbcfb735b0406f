import type { Clock } from "../../clock.ts";
import { encode, startupPhase } from "../codec/wire.ts";
import type { FatalMessage, StartupPhaseMessage } from "../messages.ts";
import type { Dialer } from "./dialer.ts";
import type { StreamEnd } from "./stream-end.ts";

/** Last words that are not answered within this are told again on a connection of their own. */
const ANSWER_MS = 400;

/** Wait before last words are told again. */
const REDIAL_MS = 50;

/** What a fatal report needs of its owner. */
export interface FatalSenderListener {
  /** Startup phases that the stream has not carried yet; they count as sent then. */
  unsentPhases(): readonly StartupPhaseMessage[];
  /** The scheduler has taken the report, or refused it. */
  answered(accepted: boolean): void;
}

/** Last words: told on the stream there is, or on one dialled for them, until somebody answers. */
export class FatalSender {
  readonly #clock: Clock;
  readonly #dialer: Dialer;
  readonly #owner: FatalSenderListener;
  #fatal: FatalMessage | undefined;

  constructor(clock: Clock, dialer: Dialer, owner: FatalSenderListener) {
    this.#clock = clock;
    this.#dialer = dialer;
    this.#owner = owner;
  }

  /** The first one counts. */
  send(fatal: FatalMessage): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = fatal;
    this.#dialer.stop();
    this.#tell(fatal);
  }

  /** A stream ended, perhaps the one that carried them. */
  streamEnded(end: StreamEnd): void {
    const fatal = this.#fatal;
    if (fatal === undefined) return;
    if (end.status === "OK") this.#owner.answered(true);
    else if (end.verdict) this.#owner.answered(false);
    // Main waits for a while and then ends this thread.
    else this.#clock.after(REDIAL_MS, () => this.#tell(fatal));
  }

  #tell(fatal: FatalMessage): void {
    if (this.#dialer.stream === undefined) this.#dialer.dialOnce();
    const stream = this.#dialer.stream;
    if (stream === undefined) return;
    // The phase that failed comes before what it led to.
    for (const phase of this.#owner.unsentPhases()) {
      stream.write(encode({ case: "startupPhase", value: startupPhase(phase) }));
    }
    // The stream's end, which the scheduler sends once it has read everything, says that it is out.
    stream.write(encode({ case: "workerFatal", value: fatal }), () => stream.end());
    // A connection that was cut without a word never ends: another one may get through.
    this.#clock.after(ANSWER_MS, () => {
      if (!stream.ended) stream.cut("the last words were not answered");
    });
  }
}
