/** The named steps that an attempt reports, until the store has them. */
import { fits, type ReportedStep, type Step, type Steps } from "../../domain/tasks/attempts/step.ts";

/** Made at first use: most handlers have no steps. */
export class AttemptSteps {
  readonly #epoch: number;
  #known: Steps;
  #reported: Steps = {};
  #unwritten: Steps = {};

  /** @param known Those of earlier attempts. */
  constructor(epoch: number, known: Steps = {}) {
    this.#epoch = epoch;
    this.#known = known;
  }

  /**
   * A step has begun or ended. `unchanged` for what this attempt has reported before, `too_much` when the task has no room for
   * it: then it stays as it was.
   */
  note({ name, ...reported }: ReportedStep, atMs: number): "noted" | "unchanged" | "too_much" {
    const before = this.#known[name];
    const isOwn = before?.epoch === this.#epoch;
    if (isOwn && (before.state !== "pending" || reported.state === "pending")) return "unchanged";
    const place = before?.place ?? Object.keys(this.#known).length + 1;
    const step: Step = { ...reported, place, epoch: this.#epoch, atMs };
    if (!fits(this.#known, name, step)) return "too_much";
    this.#known = { ...this.#known, [name]: step };
    this.#reported = { ...this.#reported, [name]: step };
    this.#unwritten = { ...this.#unwritten, [name]: step };
    return "noted";
  }

  /** What the store does not have yet, taken to be written; undefined when it has everything. */
  take(): Steps | undefined {
    const taken = this.#unwritten;
    if (Object.keys(taken).length === 0) return undefined;
    this.#unwritten = {};
    return taken;
  }

  /** These were not written; later reports count. */
  putBack(steps: Steps): void {
    this.#unwritten = { ...steps, ...this.#unwritten };
  }

  /** All that this attempt has reported, for its end, whose write may overtake theirs. */
  get reported(): Steps | undefined {
    return Object.keys(this.#reported).length === 0 ? undefined : this.#reported;
  }
}
