/** Writes to the database in their order; one that fails is tried again before the next. */
import type { Logger } from "../../telemetry/logs/logger.ts";

export class PendingWrites {
  readonly #log: Pick<Logger, "warn">;
  readonly #writes: (() => Promise<void>)[] = [];
  #flushing: Promise<void> | undefined;

  constructor(log: Pick<Logger, "warn">) {
    this.#log = log;
  }

  /** True while a write is not done. */
  get pending(): boolean {
    return this.#writes.length > 0;
  }

  /** Writes it as soon as those before it are written. */
  add(write: () => Promise<void>): void {
    this.#writes.push(write);
    this.flush().catch((error: unknown) => {
      this.#log.warn("quarantine.not_recorded", { count: this.#writes.length, error });
    });
  }

  /** Resolves when everything is written. @throws DatabaseUnavailableError */
  flush(): Promise<void> {
    this.#flushing ??= this.#flush().finally(() => {
      this.#flushing = undefined;
    });
    return this.#flushing;
  }

  async #flush(): Promise<void> {
    for (let [next] = this.#writes; next !== undefined; [next] = this.#writes) {
      await next();
      this.#writes.shift();
    }
  }
}
