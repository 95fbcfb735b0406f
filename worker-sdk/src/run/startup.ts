import { messageOf } from "../attempt/failure/classify.ts";
import type { Clock } from "../clock.ts";
import type { StartupPhaseMessage } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";

/** What an author's `preflight` reports its steps with. */
export interface StartupReporter {
  /**
   * Runs a step and reports its start, and its end or failure. Name it `custom:<name>`; the scheduler and
   * the log show it live.
   */
  phase<T>(name: string, step: () => T | Promise<T>): Promise<T>;
  /**
   * Reports a moment, for example `cache_preflight_ok` or `cache_preflight_fallback_attempt`, with facts
   * about it. The outcome is `failed` or `started` when the phase's name ends so, else `ok`.
   */
  emit(
    phase: string,
    attributes?: Readonly<Record<string, string>>,
    outcome?: "ok" | "started" | "failed",
  ): void;
}

/** Phases that an author may report; others need the prefix `custom:`. */
const AUTHOR_PHASE =
  /^(?:custom:[A-Za-z0-9._:/-]{1,120}|cache_preflight_(?:started|ok|failed|fallback_attempt|fallback_enabled))$/;

/** Logs startup phases and hands them on. */
export class Startup implements StartupReporter {
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #processAgeMs: () => number;
  readonly #facts: Readonly<Record<string, unknown>>;
  readonly #send: (phase: StartupPhaseMessage) => void;
  #last = "";
  #lastFailed = false;

  constructor(
    log: Logger,
    clock: Clock,
    processAgeMs: () => number,
    facts: Readonly<Record<string, unknown>>,
    send: (phase: StartupPhaseMessage) => void,
  ) {
    this.#log = log;
    this.#clock = clock;
    this.#processAgeMs = processAgeMs;
    this.#facts = facts;
    this.#send = send;
  }

  /** Phase that was reported last. */
  get last(): string {
    return this.#last;
  }

  /** A failure that no phase has told: the last phase is then this one. */
  failed(phase: string, error: unknown): void {
    if (!this.#lastFailed) this.report(phase, "failed", {}, messageOf(error));
  }

  async phase<T>(name: string, step: () => T | Promise<T>): Promise<T> {
    checkAuthorPhase(name);
    const beganMs = this.#clock.monotonicMs();
    const took = (): Record<string, string> => ({
      step_ms: String(Math.round(this.#clock.monotonicMs() - beganMs)),
    });
    this.report(name, "started");
    try {
      const value = await step();
      this.report(name, "ok", took());
      return value;
    } catch (error) {
      this.report(name, "failed", took(), messageOf(error));
      throw error;
    }
  }

  emit(
    phase: string,
    attributes: Readonly<Record<string, string>> = {},
    outcome: "ok" | "started" | "failed" = outcomeOf(phase),
  ): void {
    checkAuthorPhase(phase);
    const facts = Object.entries(attributes).map(([name, value]) => [name, String(value)] as const);
    this.report(phase, outcome, Object.fromEntries(facts));
  }

  /** Reports a phase of any name. */
  report(
    phase: string,
    outcome: "ok" | "started" | "failed",
    attributes: Readonly<Record<string, string>> = {},
    detail = "",
  ): void {
    this.#last = phase;
    this.#lastFailed = outcome === "failed";
    const elapsedMs = Math.round(this.#processAgeMs());
    const fields = {
      event: "worker.startup.phase",
      phase,
      outcome,
      ...this.#facts,
      elapsed_ms: elapsedMs,
      ...(detail === "" ? {} : { detail }),
      ...attributes,
    };
    if (outcome === "failed") this.#log.warn(fields, `startup phase ${phase} failed`);
    else this.#log.info(fields, `startup phase ${phase}`);
    this.#send({ phase, outcome, elapsedMs, detail, attributes });
  }
}

function outcomeOf(phase: string): "ok" | "started" | "failed" {
  if (phase.endsWith("_failed")) return "failed";
  return phase.endsWith("_started") ? "started" : "ok";
}

function checkAuthorPhase(phase: string): void {
  if (AUTHOR_PHASE.test(phase)) return;
  throw new TypeError(
    `Startup phase "${phase}" must be custom:<name> or one of cache_preflight_started, _ok, _failed, ` +
      "_fallback_attempt, _fallback_enabled.",
  );
}
