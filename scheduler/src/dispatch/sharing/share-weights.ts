/** Brings the weights that operators set from the store into the order of the classes. */
import type { FairnessStore, QueueStore } from "../../store/store.ts";
import { ReadWhenChanged } from "../read-when-changed.ts";
import type { Weights } from "./class-order.ts";

type WeightStore = Pick<QueueStore, "queueWeights"> & Pick<FairnessStore, "fairnessWeights">;

export class ShareWeights {
  readonly #store: WeightStore;
  readonly #order: { setWeights(weights: Weights): void };
  readonly #reads = new ReadWhenChanged();

  constructor(store: WeightStore, order: { setWeights(weights: Weights): void }) {
    this.#store = store;
    this.#order = order;
  }

  /** @throws DatabaseUnavailableError */
  refresh(): Promise<void> {
    return this.#reads.now(() => this.#read());
  }

  /** @throws DatabaseUnavailableError */
  refreshIfChanged(fingerprint: string): Promise<void> {
    return this.#reads.ifChanged(fingerprint, () => this.#read());
  }

  async #read(): Promise<void> {
    const queues = await this.#store.queueWeights();
    const keys = Map.groupBy(await this.#store.fairnessWeights(), ({ queue }) => queue);
    const ofKeys = new Map(
      [...keys].map(([queue, weights]) => [queue, new Map(weights.map(({ key, weight }) => [key, weight]))]),
    );
    this.#order.setWeights({
      queue: (name) => queues.get(name) ?? 1,
      key: (queue, key) => ofKeys.get(queue)?.get(key),
    });
  }
}
