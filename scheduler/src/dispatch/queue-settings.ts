/** Keeps the settings of queues that operators set, as of the last poll. */
import type { QueueSettings, QueueStore } from "../store/store.ts";

export class QueueSettingsCache {
  readonly #store: Pick<QueueStore, "queueSettings">;
  #settings: ReadonlyMap<string, QueueSettings> = new Map();

  constructor(store: Pick<QueueStore, "queueSettings">) {
    this.#store = store;
  }

  /** @throws DatabaseUnavailableError */
  async refresh(): Promise<void> {
    this.#settings = await this.#store.queueSettings();
  }

  /** Undefined when the queue has none. */
  of(queue: string): QueueSettings | undefined {
    return this.#settings.get(queue);
  }
}
