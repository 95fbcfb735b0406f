/** Looks at every class in which something waits, for explanations, without holding up other callbacks. */
import type { Clock } from "../../clock.ts";
import type { Admission } from "../admission/admission.ts";
import type { ClassEntry } from "../matching/class-entry.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import type { Search } from "../matching/matcher.ts";

/** A pass over every class is not repeated before so many times its duration. */
const REST_FACTOR = 20;

/** The same for each class: what a look takes on an idle machine, 20 times. */
const REST_MS_PER_CLASS = 0.01;

/** Longest look before other callbacks get their turn, milliseconds. 60,000 classes took 30 to 60 ms in one turn. */
const SLICE_MS = 10;

export interface ClassSurveyParts {
  readonly classes: Pick<ClassIndex, "all">;
  readonly admission: Pick<Admission, "admits">;
  readonly clock: Pick<Clock, "monotonic">;
  /** Has `look` called again when other callbacks have had their turn. */
  readonly goOnSoon: () => void;
}

export class ClassSurvey {
  readonly #parts: ClassSurveyParts;
  #nextAt = Number.NEGATIVE_INFINITY;
  /** The pass that is under way. */
  #pass: { readonly entries: Iterator<ClassEntry>; spentMs: number; looked: number } | undefined;

  constructor(parts: ClassSurveyParts) {
    this.#parts = parts;
  }

  /**
   * Keeps the log of every class in which something waits; takes a twentieth of the time at most. A pass over many
   * classes is cut into slices.
   */
  look(search: Search): void {
    const { classes, admission, clock, goOnSoon } = this.#parts;
    const began = clock.monotonic();
    if (!this.#pass && began < this.#nextAt) return;
    this.#pass ??= { entries: classes.all()[Symbol.iterator](), spentMs: 0, looked: 0 };
    const { entries } = this.#pass;
    for (let each = entries.next(); !each.done; each = entries.next()) {
      const entry = each.value;
      this.#pass.looked++;
      if (entry.parked || (entry.window.size === 0 && !entry.mayHaveMore)) continue;
      if (admission.admits(entry.taskClass)) search.has(entry);
      const spentMs = clock.monotonic() - began;
      if (spentMs < SLICE_MS) continue;
      this.#pass.spentMs += spentMs;
      goOnSoon();
      return;
    }
    const now = clock.monotonic();
    const { spentMs, looked } = this.#pass;
    this.#nextAt = now + Math.max((spentMs + now - began) * REST_FACTOR, looked * REST_MS_PER_CLASS);
    this.#pass = undefined;
  }
}
