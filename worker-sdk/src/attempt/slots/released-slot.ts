/** What `ctx.releaseSlot()` returns. */

/** A slot that a handler has freed for as long as it waits. */
export class ReleasedSlot implements AsyncDisposable {
  readonly #end: () => Promise<void>;
  readonly #signal: AbortSignal;
  #taken: Promise<void> | undefined;

  /** @internal */
  constructor(end: () => Promise<void>, signal: AbortSignal) {
    this.#end = end;
    this.#signal = signal;
  }

  /**
   * Ends the wait: resolves when the attempt has its slot again, and everything else that its task costs. A second call waits for the
   * first.
   *
   * @throws the reason of `ctx.signal` when the handler has to stop; it then has no slot, and should return soon.
   */
  async take(): Promise<void> {
    await this[Symbol.asyncDispose]();
    this.#signal.throwIfAborted();
  }

  /** For `await using`: as `take()`, and throws nothing, because the block may have thrown the same reason. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#taken ??= this.#end();
    return this.#taken;
  }
}
