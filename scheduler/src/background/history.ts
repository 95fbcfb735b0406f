/** Writes what the fleet did in each minute. */
import type { Store } from "../store/store.ts";

/** Time between two rows, milliseconds. */
export const HISTORY_ROW_MS = 60_000;

/** The lead is held for this many rows. */
const LEAD_ROWS = 2.5;

/** One scheduler writes for all; the others send the same statement, and it ends with the lead. */
export class HistoryWriter {
  readonly #store: Pick<Store, "writeHistory">;
  readonly #schedulerId: string;

  constructor(store: Pick<Store, "writeHistory">, schedulerId: string) {
    this.#store = store;
    this.#schedulerId = schedulerId;
  }

  /** @throws DatabaseUnavailableError */
  async runOnce(): Promise<void> {
    await this.#store.writeHistory(this.#schedulerId, HISTORY_ROW_MS * LEAD_ROWS);
  }
}
