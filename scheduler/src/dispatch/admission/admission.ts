import type { AttemptKey } from "../../domain/ids.ts";
import type { TaskClass } from "../../domain/matching/match.ts";

/** Why no task of a class may be assigned now, whichever workers suit it. */
export interface HoldReason {
  /** Code of the explanation's reason. */
  readonly code: "QUEUE_PAUSED";
  /** Name in the views that idle workers get, beside the names of the matcher's filters. */
  readonly name: string;
  /** The same in words. */
  readonly detail: string;
}

/** A rule that may hold tasks back although a worker suits them, such as a paused queue. */
export interface AdmissionRule {
  /** Why the class is held back now; undefined when the rule admits it. Asked once a class and search, never per task. */
  holdReason(taskClass: TaskClass): HoldReason | undefined;
  /** An attempt has ended and its end is committed, whichever way: what the rule counted for it is free. */
  release?(attempt: AttemptKey & { readonly classId: number }): void;
}

/**
 * Decides which classes may be assigned now. Everything that assigns tasks or explains why they wait asks here, so that a
 * further rule is one more entry of the list.
 */
export class Admission {
  readonly #rules: readonly AdmissionRule[];
  readonly #releasing: readonly AdmissionRule[];

  constructor(rules: readonly AdmissionRule[]) {
    this.#rules = rules;
    this.#releasing = rules.filter(({ release }) => release !== undefined);
  }

  /** The reason of the first rule that holds the class back; undefined when all admit it. */
  holdReason(taskClass: TaskClass): HoldReason | undefined {
    for (const rule of this.#rules) {
      const reason = rule.holdReason(taskClass);
      if (reason) return reason;
    }
    return undefined;
  }

  admits(taskClass: TaskClass): boolean {
    return this.holdReason(taskClass) === undefined;
  }

  /** Called at every committed end of an attempt; costs nothing while no rule counts attempts. */
  release(attempt: AttemptKey & { readonly classId: number }): void {
    for (const rule of this.#releasing) rule.release?.(attempt);
  }
}
