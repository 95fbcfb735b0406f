/** Undoes what the bench started, last first, however it ends. */
export class Cleanup {
  readonly #steps: { readonly name: string; readonly undo: () => Promise<void> }[] = [];
  #running: Promise<void> | undefined;

  /** Remembers how to undo something; the function answered undoes it now, once. */
  add(name: string, undo: () => Promise<void>): () => Promise<void> {
    let done: Promise<void> | undefined;
    const once = () => {
      done ??= undo();
      return done;
    };
    const step = { name, undo: once };
    this.#steps.push(step);
    return async () => {
      await once();
      const index = this.#steps.indexOf(step);
      if (index >= 0) this.#steps.splice(index, 1);
    };
  }

  /** Undoes everything. @throws AggregateError with what could not be undone. */
  run(): Promise<void> {
    this.#running ??= this.#undoAll();
    return this.#running;
  }

  async #undoAll(): Promise<void> {
    const errors: Error[] = [];
    for (let step = this.#steps.pop(); step; step = this.#steps.pop()) {
      try {
        await step.undo();
      } catch (error) {
        errors.push(new Error(`${step.name} could not be cleaned up`, { cause: error }));
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, errors.map(({ message }) => message).join("; "));
  }
}
