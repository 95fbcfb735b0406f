/** Counts the iterations of a task against its budget, and reports the count. */
import { inspect } from "node:util";
import { BudgetExhaustedError } from "../../errors.ts";
import type { AssignmentMessage } from "../../link/assignment.ts";
import type { Deadline } from "../deadlines.ts";
import { PROGRESS_INTERVAL_MS, type ProgressHost } from "./progress.ts";

/** Largest count (a limit of the protocol). */
const MAX_COUNT = 1_000_000_000;

/** The iterations of an attempt's task: the first is reported at once, then the latest of each interval. */
export class Iterations {
  readonly #assignment: Pick<AssignmentMessage, "attemptId" | "maxIterations">;
  readonly #host: ProgressHost;
  #begun: number;
  #unsent = false;
  #deadline: Deadline | undefined;
  #sentMs = Number.NEGATIVE_INFINITY;

  constructor(
    assignment: Pick<AssignmentMessage, "attemptId" | "iterations" | "maxIterations">,
    host: ProgressHost,
  ) {
    this.#assignment = assignment;
    this.#begun = assignment.iterations;
    this.#host = host;
  }

  /** How many have begun, earlier attempts included. */
  get begun(): number {
    return this.#begun;
  }

  /** An iteration begins. @throws RangeError when it is no count, BudgetExhaustedError when it is beyond the budget. */
  begin(iteration: number): void {
    if (!Number.isSafeInteger(iteration) || iteration < 1 || iteration > MAX_COUNT)
      throw new RangeError(
        `iteration(${inspect(iteration)}): the number of an iteration is an integer from 1 to ${MAX_COUNT}`,
      );
    const { maxIterations } = this.#assignment;
    if (maxIterations > 0 && iteration > maxIterations)
      throw new BudgetExhaustedError(iteration, maxIterations);
    if (iteration <= this.#begun) return;
    this.#begun = iteration;
    this.#unsent = true;
    const waitMs = this.#sentMs + PROGRESS_INTERVAL_MS - this.#host.clock.monotonicMs();
    if (waitMs <= 0) {
      this.#send();
      // A handler that computes without a pause blocks the loop, which would otherwise post this.
      this.#host.link.flush();
    } else this.#deadline ??= this.#host.deadlines.add(waitMs, () => this.#send());
  }

  /** Sends a count that waits. */
  flush(): void {
    this.#send();
  }

  #send(): void {
    this.#host.deadlines.remove(this.#deadline);
    this.#deadline = undefined;
    if (!this.#unsent) return;
    this.#unsent = false;
    this.#sentMs = this.#host.clock.monotonicMs();
    const { attemptId } = this.#assignment;
    this.#host.link.send({ kind: "iterations", attemptId, count: this.#begun });
  }
}
