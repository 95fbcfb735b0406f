/** Signals to watchers that a task may have changed; they read its state from the store. */
export class TaskSignals {
  readonly #watchers = new Map<number, Set<() => void>>();

  /** Calls `onChange` at every change until the returned function is called. */
  watch(taskId: number, onChange: () => void): () => void {
    const watchers = this.#watchers.get(taskId) ?? new Set();
    this.#watchers.set(taskId, watchers.add(onChange));
    return () => {
      watchers.delete(onChange);
      if (watchers.size === 0) this.#watchers.delete(taskId);
    };
  }

  changed(taskId: number): void {
    const watchers = this.#watchers.get(taskId);
    if (watchers) for (const onChange of watchers) onChange();
  }
}
