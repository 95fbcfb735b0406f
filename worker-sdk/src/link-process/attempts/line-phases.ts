/** The open phases of an attempt whose handler is in the worker's process. */
import type { Attempt } from "../../attempt/attempt.ts";
import { messageOf } from "../../attempt/failure/classify.ts";
import type { PhaseOptions } from "../../attempt/phases/phase-options.ts";
import type { AttemptLine } from "../lines/worker-line.ts";

/** Most phases that are open at once. */
const MAX_OPEN = 100;

/** An open phase: its end, and the promise that ends after it. */
interface OpenPhase {
  readonly name: string;
  readonly end: (failed: boolean) => void;
  readonly done: Promise<void>;
}

/** A phase that its handler called failed. */
class PhaseFailed extends Error {
  override readonly name = "PhaseFailed";
}

/** Begins and ends phases. */
export class LinePhases {
  readonly #attempt: Pick<Attempt, "phase">;
  readonly #refused: (message: string) => void;
  readonly #open: OpenPhase[] = [];

  /** @param refused Reports a phase that could not be begun. */
  constructor(attempt: Pick<Attempt, "phase">, refused: (message: string) => void) {
    this.#attempt = attempt;
    this.#refused = refused;
  }

  /** @throws Error when too many are open. */
  start({ name, warnAfterS, timeoutS }: Extract<AttemptLine, { kind: "phase_start" }>): void {
    if (this.#open.length >= MAX_OPEN)
      throw new Error(`phase_start: ${MAX_OPEN} phases of the attempt are open; end one first`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const options: PhaseOptions = {
      ...(warnAfterS === undefined ? {} : { warnAfterS }),
      ...(timeoutS === undefined ? {} : { timeoutS }),
    };
    const done = this.#attempt
      .phase(name, () => promise, options)
      .catch((error: unknown) => {
        if (!(error instanceof PhaseFailed)) this.#refused(`phase_start: ${messageOf(error)}`);
      });
    const end = (failed: boolean): void => (failed ? reject(new PhaseFailed(name)) : resolve());
    this.#open.push({ name, end, done });
  }

  /** Ends the last phase of this name, or the last one. @throws Error when none is open. */
  end(name: string | undefined, failed: boolean): Promise<void> {
    const index = this.#open.findLastIndex((phase) => name === undefined || phase.name === name);
    const [phase] = index < 0 ? [] : this.#open.splice(index, 1);
    if (phase === undefined)
      throw new Error(`phase_end: no phase ${name === undefined ? "" : `${name} `}of the attempt is open`);
    phase.end(failed);
    return phase.done;
  }
}
