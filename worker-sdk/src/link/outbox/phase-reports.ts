/** Reports of the phases of attempts, and of the silence that their handlers announce. */
import { Deadlines } from "../../attempt/deadlines.ts";
import type { Clock } from "../../clock.ts";
import type { ProcessMetrics } from "../health/process-metrics.ts";
import type { FromLink, ToLink } from "../messages.ts";
import type { InFlightAttempt, InFlightAttempts } from "./in-flight.ts";
import { OpenPhases } from "./open-phases.ts";

type PhaseStarted = Extract<ToLink, { kind: "phaseStarted" }>;

/** Parts that reports of phases use. */
export interface PhaseReportsParts {
  readonly clock: Clock;
  readonly inFlight: Pick<InFlightAttempts, "get">;
  readonly processMetrics: ProcessMetrics;
  readonly emit: (message: FromLink) => void;
  /** The next heartbeat has something that should not wait for its turn. */
  readonly changed: () => void;
  /** Records an event in the history of an attempt. */
  readonly event: (
    attempt: InFlightAttempt,
    name: string,
    elapsedMs: number,
    facts: Readonly<Record<string, string>>,
  ) => void;
}

/** Watches the open phases of attempts: a phase that is stuck is reported while the main thread is blocked, too. */
export class PhaseReports {
  readonly #parts: PhaseReportsParts;
  readonly #deadlines: Deadlines;

  constructor(parts: PhaseReportsParts) {
    this.#parts = parts;
    this.#deadlines = new Deadlines(parts.clock);
  }

  /** A phase was opened. */
  started(message: PhaseStarted): void {
    const attempt = this.#parts.inFlight.get(message.attemptId);
    if (attempt === undefined) return;
    this.#endExpectation(attempt);
    attempt.phases ??= new OpenPhases(this.#parts.clock, this.#deadlines, {
      event: (phase, change, facts) => this.#phaseEvent(attempt, message, `task.${phase}.${change}`, facts),
    });
    attempt.phases.started(message);
    if (attempt.slotRelease !== undefined) attempt.phases.suspend();
  }

  /** Its handler has given a phase another threshold or limit. */
  extended(message: Extract<ToLink, { kind: "phaseExtended" }>): void {
    this.#parts.inFlight.get(message.attemptId)?.phases?.extended(message);
    this.#parts.changed();
  }

  /** A phase was closed. */
  ended({ attemptId, number, how }: Extract<ToLink, { kind: "phaseEnded" }>): void {
    const attempt = this.#parts.inFlight.get(attemptId);
    attempt?.phases?.ended(number, how);
    if (attempt !== undefined) this.#endExpectation(attempt);
  }

  /** The handler will be silent for a while. */
  expect({ attemptId, sinceMs, quietForMs, reason }: Extract<ToLink, { kind: "expect" }>): void {
    const attempt = this.#parts.inFlight.get(attemptId);
    if (attempt === undefined || attempt.revoked) return;
    attempt.expectation = { sinceMs, quietForMs, reason };
    attempt.phases?.expect(sinceMs + quietForMs);
    this.#parts.changed();
  }

  /** The attempt has its slots again. What the handler has said before the wait still holds. */
  resume({ phases, expectation }: InFlightAttempt): void {
    phases?.resume();
    if (expectation !== undefined) phases?.expect(expectation.sinceMs + expectation.quietForMs);
  }

  /** The handler has shown that it goes on. */
  moved(attempt: InFlightAttempt): void {
    attempt.progressAtMs = this.#parts.clock.monotonicMs();
    attempt.phases?.progress();
    this.#endExpectation(attempt);
  }

  #endExpectation(attempt: InFlightAttempt): void {
    if (attempt.expectation === undefined) return;
    attempt.expectation = undefined;
    attempt.phases?.endExpectation();
  }

  /** Records an event of a phase watchdog in the history of the attempt, and logs it. */
  #phaseEvent(
    attempt: InFlightAttempt,
    { taskId, taskType }: PhaseStarted,
    event: string,
    facts: Readonly<Record<string, string>>,
  ): void {
    const elapsedMs = this.#parts.clock.monotonicMs() - attempt.receivedMs;
    this.#parts.event(attempt, event, elapsedMs, facts);
    const stuck = event.endsWith(".stuck");
    const seconds = (Number(facts.elapsed_ms) / 1000).toFixed(1);
    this.#parts.emit({
      kind: "log",
      level: stuck ? "warn" : "info",
      event,
      fields: {
        ...facts,
        attempt_id: attempt.attemptId,
        task_id: taskId,
        task_type: taskType,
        elapsed_ms: Number(facts.elapsed_ms),
        warn_after_s: Number(facts.warn_after_s),
        loop_age_ms: Math.round(this.#parts.processMetrics.loopAgeMs),
      },
      message: stuck
        ? `the phase has lasted ${seconds} s`
        : `the phase is no longer stuck, after ${seconds} s (${facts.by})`,
    });
  }
}
