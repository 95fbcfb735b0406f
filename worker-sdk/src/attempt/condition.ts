/** A condition that others wait for. */
export class Condition {
  readonly #holds: () => boolean;
  #waiters: (() => void)[] = [];

  constructor(holds: () => boolean) {
    this.#holds = holds;
  }

  /** Resolves when a check finds that the condition holds; at once when it does now. */
  reached(): Promise<void> {
    if (this.#holds()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push(resolve));
  }

  /** Something has changed on which the condition depends. */
  check(): void {
    if (this.#waiters.length === 0 || !this.#holds()) return;
    for (const wake of this.#waiters.splice(0)) wake();
  }
}
