/** The startup phases of a worker, and which of them the scheduler does not have yet. */
import type { StartupPhaseMessage } from "../messages.ts";

/** Keeps the startup phases in their order, for Hello, for what follows it, and for a fatal report. */
export class StartupPhases {
  readonly #all: StartupPhaseMessage[];
  #sent = 0;
  #ready = false;

  /** @param early Phases before the thread was started. */
  constructor(early: readonly StartupPhaseMessage[]) {
    this.#all = [...early];
  }

  /** The worker has reported that it is ready. */
  get ready(): boolean {
    return this.#ready;
  }

  /** Name of the last one; empty when there is none. */
  get last(): string {
    return this.#all.at(-1)?.phase ?? "";
  }

  /** The main thread has reported one. */
  add(phase: StartupPhaseMessage): void {
    this.#all.push(phase);
    if (phase.phase === "ready") this.#ready = true;
  }

  /** Every one, taken to be sent. */
  takeAll(): readonly StartupPhaseMessage[] {
    this.#sent = this.#all.length;
    return this.#all;
  }

  /** Those that were not sent, taken to be sent. */
  takeUnsent(): readonly StartupPhaseMessage[] {
    const unsent = this.#all.slice(this.#sent);
    this.#sent = this.#all.length;
    return unsent;
  }
}
