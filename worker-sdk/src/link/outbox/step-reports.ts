/** The named steps of attempts on their way to the scheduler. */
import { ChurnMap } from "@muster/common/churn-map";
import { bytesOf, encode, stepState } from "../codec/wire.ts";
import type { Stream } from "../connection/stream.ts";
import type { ToLink } from "../messages.ts";
import type { InFlightAttempts } from "./in-flight.ts";

/** Feature of a scheduler that keeps steps. */
const STEPS = "steps";

type Step = Extract<ToLink, { kind: "step" }>["step"];

/**
 * The latest state of each step of this worker's attempts, until their results are acknowledged. A stream carries each state
 * once, before the attempt's result; a new stream carries all of them again. A scheduler without the feature keeps no steps.
 */
export class StepReports {
  readonly #inFlight: InFlightAttempts;
  readonly #steps = new Map<string, Map<string, Step>>();
  /** Attempts with steps that this stream has not carried, with the names of these. */
  readonly #unsent = new ChurnMap<string, Set<string>>();
  #supported = false;

  constructor(inFlight: InFlightAttempts) {
    this.#inFlight = inFlight;
  }

  /** A stream was welcomed by a scheduler with these features. */
  open(features: readonly string[]): void {
    this.#supported = features.includes(STEPS);
    this.#unsent.clear();
    for (const [attemptId, steps] of this.#steps) this.#unsent.set(attemptId, new Set(steps.keys()));
  }

  /** Keeps the state of a step in place of its earlier one. */
  put(attemptId: string, step: Step): void {
    const steps = this.#steps.get(attemptId) ?? new Map<string, Step>();
    this.#steps.set(attemptId, steps.set(step.name, step));
    this.#unsent.set(attemptId, (this.#unsent.get(attemptId) ?? new Set<string>()).add(step.name));
  }

  /** The attempt no longer belongs to this worker, or its result is acknowledged. */
  forget(attemptId: string): void {
    this.#steps.delete(attemptId);
    this.#unsent.delete(attemptId);
  }

  /** Writes what the stream has not carried. */
  writeTo(stream: Stream): void {
    if (!this.#supported) return;
    for (const [attemptId, names] of this.#unsent) {
      this.#unsent.delete(attemptId);
      if (this.#inFlight.get(attemptId)?.revoked !== false) continue;
      const steps = this.#steps.get(attemptId);
      const value = {
        attemptId,
        steps: [...names].flatMap((name) => {
          const step = steps?.get(name);
          if (step === undefined) return [];
          return [{ ...step, state: stepState(step.state), result: bytesOf(step.result) }];
        }),
      };
      stream.write(encode({ case: "stepReport", value }));
    }
  }
}
