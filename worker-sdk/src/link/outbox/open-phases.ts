/** The open phases of attempts, with their watchdogs. */
import type { Deadlines } from "../../attempt/deadlines.ts";
import { PhaseWatchdog } from "../../attempt/phases/phase-watchdog.ts";
import type { Clock } from "../../clock.ts";
import type { ToLink } from "../messages.ts";
import type { PhaseEnd } from "../outcome.ts";

/** Callbacks of open phases; `facts` are the context of the phase and the facts of the event. */
export interface OpenPhasesListener {
  /** `task.<phase>.stuck` or `task.<phase>.recovered`. */
  event(phase: string, change: "stuck" | "recovered", facts: Readonly<Record<string, string>>): void;
}

/** A phase that its watchdog has reported as stuck. Times in milliseconds. */
export interface ReportedStuck {
  readonly phase: string;
  readonly ageMs: number;
  readonly stillMs: number;
  readonly warnAfterMs: number;
  readonly warnings: number;
}

interface OpenPhase {
  readonly number: number;
  readonly name: string;
  readonly sinceMs: number;
  readonly movable: boolean;
  /** Undefined: none is set. */
  warnAfterMs: number | undefined;
  /** Hard limit, 0 for none; undefined: that of the task counts. */
  timeoutMs: number | undefined;
  readonly context: Readonly<Record<string, string>>;
  /** Progress came while it was reported as stuck. */
  movedBy: "progress" | "expectation" | "extension" | "waits" | PhaseEnd;
  watchdog: PhaseWatchdog | undefined;
}

/**
 * The open phases of one attempt with their watchdogs. They run in the link's thread, so that a handler that blocks
 * the main loop is reported like any other.
 */
export class OpenPhases {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #listener: OpenPhasesListener;
  readonly #open: OpenPhase[] = [];
  #suspended = false;

  constructor(clock: Clock, deadlines: Deadlines, listener: OpenPhasesListener) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#listener = listener;
  }

  /** The one that was opened last. */
  get current(): Pick<OpenPhase, "name" | "sinceMs" | "warnAfterMs" | "timeoutMs"> | undefined {
    return this.#open.at(-1);
  }

  /** Those that are reported as stuck, outermost first. */
  stuck(nowMs: number): ReportedStuck[] {
    return this.#open.flatMap(({ name, sinceMs, warnAfterMs = 0, watchdog }) =>
      watchdog === undefined || watchdog.warnings === 0
        ? []
        : {
            phase: name,
            ageMs: nowMs - sinceMs,
            stillMs: nowMs - watchdog.stillSinceMs,
            warnAfterMs,
            warnings: watchdog.warnings,
          },
    );
  }

  /** A phase was opened. */
  started(message: Extract<ToLink, { kind: "phaseStarted" }>): void {
    const { number, phase, sinceMs, movable, warnAfterMs, timeoutMs, context } = message;
    const entry: OpenPhase = {
      number,
      name: phase,
      sinceMs,
      movable,
      ...{ warnAfterMs, timeoutMs, context },
      movedBy: "progress",
      watchdog: undefined,
    };
    this.#open.push(entry);
    this.#watch(entry);
  }

  /** Its handler has given a phase another threshold or limit. */
  extended({ number, warnAfterMs, timeoutMs }: Extract<ToLink, { kind: "phaseExtended" }>): void {
    const phase = this.#open.find((open) => open.number === number);
    if (phase === undefined) return;
    if (timeoutMs !== undefined) phase.timeoutMs = timeoutMs;
    if (warnAfterMs === undefined) return;
    phase.movedBy = "extension";
    phase.watchdog?.close();
    phase.movedBy = "progress";
    phase.watchdog = undefined;
    phase.warnAfterMs = warnAfterMs;
    this.#watch(phase);
  }

  #watch(entry: OpenPhase): void {
    const { name: phase, sinceMs, warnAfterMs, context } = entry;
    if (warnAfterMs === undefined || warnAfterMs <= 0) return;
    const tell = (change: "stuck" | "recovered", elapsedMs: number, facts: Record<string, string>) =>
      this.#listener.event(phase, change, {
        ...context,
        ...facts,
        elapsed_ms: String(Math.round(elapsedMs)),
        warn_after_s: String(warnAfterMs / 1000),
      });
    entry.watchdog = new PhaseWatchdog(
      this.#clock,
      this.#deadlines,
      warnAfterMs,
      {
        stuck: (elapsedMs) => tell("stuck", elapsedMs, { warning: String(entry.watchdog?.warnings ?? 1) }),
        recovered: (elapsedMs) => tell("recovered", elapsedMs, { by: entry.movedBy }),
      },
      sinceMs,
    );
    if (this.#suspended) entry.watchdog.suspend();
  }

  /** A phase was closed. */
  ended(number: number, how: PhaseEnd): void {
    const index = this.#open.findIndex((phase) => phase.number === number);
    const [phase] = index < 0 ? [] : this.#open.splice(index, 1);
    if (phase === undefined) return;
    phase.movedBy = how;
    phase.watchdog?.close();
  }

  /** The handler waits without its slots: no phase is stuck meanwhile, and their thresholds count anew afterwards. */
  suspend(): void {
    this.#suspended = true;
    for (const phase of this.#open) {
      phase.movedBy = "waits";
      phase.watchdog?.suspend();
      phase.movedBy = "progress";
    }
  }

  /** The handler goes on. */
  resume(): void {
    this.#suspended = false;
    for (const { watchdog } of this.#open) watchdog?.resume();
  }

  /** Progress was reported: what is declared to make progress moves. */
  progress(): void {
    for (const { movable, watchdog } of this.#open) if (movable) watchdog?.progress();
  }

  /** The handler will be silent until then: none is stuck before. @param untilMs On the monotonic clock. */
  expect(untilMs: number): void {
    for (const phase of this.#open) {
      phase.movedBy = "expectation";
      phase.watchdog?.hold(untilMs);
      phase.movedBy = "progress";
    }
  }

  /** It has shown something after it had said that it would be silent: the time meanwhile does not count. */
  endExpectation(): void {
    for (const { watchdog } of this.#open) watchdog?.progress();
  }

  /** The attempt is no longer the worker's: nothing more is said of it. */
  cancel(): void {
    for (const { watchdog } of this.#open.splice(0)) watchdog?.cancel();
  }
}
