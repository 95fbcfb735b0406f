/** The startup of a worker: preflight and its phases. */
import { messageOf } from "../attempt/failure/classify.ts";
import type { Clock } from "../clock.ts";
import type { StartupPhaseMessage } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";

/**
 * Reports the steps of a `preflight`; the log and the scheduler show them live.
 *
 * @example
 * ```ts
 * const worker = new Worker({
 *   tasks,
 *   preflight: (startup) => startup.phase("custom:warm-up", () => model.warmUp()),
 * });
 * ```
 */
export interface StartupReporter {
  /**
   * Runs a step and reports its start, then its end or failure. Returns what the step returns, throws what it throws.
   *
   * @param name `custom:<name>`, or one of the `cache_preflight_` phases.
   * @throws TypeError for another name.
   */
  phase<T>(name: string, step: () => T | Promise<T>): Promise<T>;
  /**
   * Reports a moment, for example `cache_preflight_ok` or `cache_preflight_fallback_attempt`, with facts about it.
   *
   * @param outcome By default `failed` or `started` when the name of the phase ends so, else `ok`.
   * @throws TypeError for a name that is neither `custom:<name>` nor one of the `cache_preflight_` phases.
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

/** Logs startup phases and passes them to the link. */
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

  /** Reports a failure, unless the last phase has reported one. */
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
