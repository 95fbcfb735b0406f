/** Creates the partitions of the coming days. */
import type { Store } from "../store/store.ts";

/** Time between two runs, milliseconds. */
export const PARTITIONS_MS = 60_000;

/** The lead is held for this many runs. */
const LEAD_RUNS = 3;

/** Makes the partitions of the coming days. One scheduler does it for all. */
export class PartitionMaker {
  readonly #store: Pick<Store, "lead" | "ensurePartitions">;
  readonly #schedulerId: string;

  constructor(store: Pick<Store, "lead" | "ensurePartitions">, schedulerId: string) {
    this.#store = store;
    this.#schedulerId = schedulerId;
  }

  /** @throws Error when a lock of another session is in the way: rows then land in the default partition. */
  async runOnce(): Promise<void> {
    if (!(await this.#store.lead("partitions", this.#schedulerId, PARTITIONS_MS * LEAD_RUNS))) return;
    if (await this.#store.ensurePartitions()) return;
    throw new Error(
      "partitions were not made, because another session holds a lock on them (a backup, a long query): tried again in a minute",
    );
  }
}
