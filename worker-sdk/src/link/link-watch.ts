/** A thread whose loop has not turned for this long counts as hung. Its own work takes milliseconds. */
const HUNG_MS = 5000;

/** The same before its first turn: a busy machine needs seconds to load the modules of the thread. */
const FIRST_TURN_MS = 20_000;

/** A process that itself took longer to come this far gives the thread twice that time, up to this. */
const MAX_FIRST_TURN_MS = 60_000;

/** Main checks every 100 ms; after a longer gap the whole process was stopped, the thread too. */
const GAP_MS = 1000;

/** Checks from the main thread that the loop of the link's thread turns. */
export class LinkWatch {
  readonly #onHung: (silentMs: number) => void;
  readonly #firstTurnMs: number;
  #turns = 0;
  #turnedMs: number;
  #lookedMs: number;
  #over = false;

  /** @param processAgeMs Since the start of the process. */
  constructor(nowMs: number, processAgeMs: number, onHung: (silentMs: number) => void) {
    this.#firstTurnMs = Math.min(MAX_FIRST_TURN_MS, Math.max(FIRST_TURN_MS, 2 * processAgeMs));
    this.#turnedMs = nowMs;
    this.#lookedMs = nowMs;
    this.#onHung = onHung;
  }

  /** @param turns How often the loop of the thread has turned. */
  look(turns: number, nowMs: number): void {
    const gapMs = nowMs - this.#lookedMs;
    this.#lookedMs = nowMs;
    if (turns !== this.#turns) {
      this.#turns = turns;
      this.#turnedMs = nowMs;
    } else if (gapMs > GAP_MS) this.#turnedMs += gapMs;
    const silentMs = nowMs - this.#turnedMs;
    if (this.#over || silentMs < (turns === 0 ? this.#firstTurnMs : HUNG_MS)) return;
    this.#over = true;
    this.#onHung(silentMs);
  }
}
