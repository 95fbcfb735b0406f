/** Keeps the settings of queues that operators set, as of the last poll. */
import type { BuildRule } from "../domain/builds/build-rule.ts";
import type { QueueSettings, QueueStore } from "../store/store.ts";
import { ReadWhenChanged } from "./read-when-changed.ts";

export class QueueSettingsCache {
  readonly #store: Pick<QueueStore, "queueSettings">;
  readonly #reads = new ReadWhenChanged();
  #settings: ReadonlyMap<string, QueueSettings> = new Map();
  #buildRules: ReadonlyMap<string, BuildRule> = new Map();

  constructor(store: Pick<QueueStore, "queueSettings">) {
    this.#store = store;
  }

  /** @throws DatabaseUnavailableError */
  refresh(): Promise<void> {
    return this.#reads.now(() => this.#read());
  }

  /** @throws DatabaseUnavailableError */
  refreshIfChanged(fingerprint: string): Promise<void> {
    return this.#reads.ifChanged(fingerprint, () => this.#read());
  }

  /** Undefined when the queue has none. */
  of(queue: string): QueueSettings | undefined {
    return this.#settings.get(queue);
  }

  /** The build rules of the queues that have one. */
  get buildRules(): ReadonlyMap<string, BuildRule> {
    return this.#buildRules;
  }

  async #read(): Promise<void> {
    this.#settings = await this.#store.queueSettings();
    this.#buildRules = new Map(
      [...this.#settings].flatMap(([queue, { builds }]) => (builds ? [[queue, builds] as const] : [])),
    );
  }
}
