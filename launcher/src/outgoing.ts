/** Messages for a stream, in their order, from parts that do not wait for it. */
export class Outgoing<T> implements AsyncIterable<T> {
  readonly #waiting: T[] = [];
  #wake: () => void = () => undefined;
  #ended = false;

  push(message: T): void {
    if (this.#ended) return;
    this.#waiting.push(message);
    this.#wake();
  }

  /** What was pushed before is still sent. */
  end(): void {
    this.#ended = true;
    this.#wake();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    for (;;) {
      const next = this.#waiting.shift();
      if (next !== undefined) yield next;
      else if (this.#ended) return;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }
}
