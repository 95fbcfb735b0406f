import type { Dispatch } from "../dispatch/dispatch.ts";

/** Reads classes that have open tasks and are not in memory, and forgets classes that were not used for long. */
export class ClassRefresher {
  readonly #parts: ClassRefresherParts;

  constructor(parts: ClassRefresherParts) {
    this.#parts = parts;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    const { admission, classes, counters, dispatcher, traces } = this.#parts;
    const forgotten = await classes.refresh();
    if (forgotten.length > 0) {
      admission.forgetClasses(forgotten);
      counters.classes.forget(forgotten);
      traces.forget(forgotten);
    }
    // A class that was read again may have work.
    dispatcher.pump();
  }
}

export interface ClassRefresherParts {
  readonly admission: Pick<Dispatch["admission"], "forgetClasses">;
  readonly classes: Pick<Dispatch["classes"], "refresh">;
  readonly counters: { readonly classes: Pick<Dispatch["counters"]["classes"], "forget"> };
  readonly dispatcher: Pick<Dispatch["dispatcher"], "pump">;
  readonly traces: Pick<Dispatch["traces"], "forget">;
}
