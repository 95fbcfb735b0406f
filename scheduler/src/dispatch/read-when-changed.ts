/** Reads rows that seldom change only when they have. */

/**
 * Knows as of which fingerprint rows were last read. The fingerprint has to be from before the read: what changes in between
 * is then read twice, and never missed.
 */
export class ReadWhenChanged {
  #seen: string | undefined;
  /** Reads outside of polls. */
  #others = 0;

  /** Reads now. The next poll reads again: this read may have begun before one that ended earlier. */
  async now(read: () => Promise<void>): Promise<void> {
    try {
      await read();
    } finally {
      this.#others++;
      this.#seen = undefined;
    }
  }

  /**
   * Reads when the fingerprint is another one than at the last read.
   *
   * @param anyway True to read also when it is the same.
   */
  async ifChanged(fingerprint: string, read: () => Promise<void>, anyway = false): Promise<void> {
    if (fingerprint === this.#seen && !anyway) return;
    const others = this.#others;
    await read();
    if (others === this.#others) this.#seen = fingerprint;
  }
}
