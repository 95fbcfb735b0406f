/** Collects the latest of something by key and writes it in batches, one statement at a time, again when the database is back. */
import type { Clock } from "../../../clock.ts";
import { isAbsence } from "../../../domain/errors.ts";

/** Most in one statement, by number and by bytes; a single larger one goes alone. */
const MAX_BATCH = 500;
const MAX_BATCH_BYTES = 4 * 1024 * 1024;

/** Waits after the database was found away, doubling up to the last, milliseconds. */
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;

export interface LatestWritesParts<Key, Item> {
  readonly clock: Pick<Clock, "after">;
  readonly keyOf: (item: Item) => Key;
  readonly taskIdOf: (item: Item) => number;
  readonly bytesOf: (item: Item) => number;
  /** Writes a batch. @throws Whatever the database answers. */
  readonly write: (batch: readonly Item[]) => Promise<void>;
  /** The database refused a batch, for another reason than its absence; it is not written again. */
  readonly onRefused: (refused: {
    readonly batch: readonly Item[];
    readonly error: unknown;
    /** Writes in a row that failed. */
    readonly failures: number;
  }) => void;
}

/** While one statement waits for the disk, later items collect. Never throws. */
export class LatestWrites<Key, Item> {
  readonly #parts: LatestWritesParts<Key, Item>;
  readonly #waiting = new Map<Key, Item>();
  #waitingBytes = 0;
  /** Those of the statement under way. */
  #beingWritten: readonly Item[] = [];
  #writing: Promise<boolean> | undefined;
  #failures = 0;
  #stopTimer: (() => void) | undefined;
  #stopped = false;

  constructor(parts: LatestWritesParts<Key, Item>) {
    this.#parts = parts;
  }

  /** Bytes of what waits. */
  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  /** What waits with that key. */
  waitingOf(key: Key): Item | undefined {
    return this.#waiting.get(key);
  }

  /** Takes an item in place of the one that waits with its key. */
  put(item: Item): void {
    const { keyOf, bytesOf } = this.#parts;
    const older = this.#waiting.get(keyOf(item));
    this.#waitingBytes += bytesOf(item) - (older === undefined ? 0 : bytesOf(older));
    this.#waiting.set(keyOf(item), item);
    if (this.#stopTimer === undefined) void this.#write();
  }

  /**
   * Writes what waits of these tasks, before their ends are written: an end fences later writes off. Costs nothing when nothing
   * waits. When the database is away it gives up: the end cannot be written either.
   */
  async flushOf(taskIds: readonly number[]): Promise<void> {
    while (this.#holdsSome(taskIds)) if (!(await this.#write())) return;
  }

  /** Writes all that waits, likewise. */
  async flush(): Promise<void> {
    while (this.#waiting.size > 0 || this.#beingWritten.length > 0) if (!(await this.#write())) return;
  }

  /** Tries at once what waits for the database. */
  async tryNow(): Promise<void> {
    this.#endWait();
    await this.#write();
  }

  /** Writes nothing more than what is under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#endWait();
    await this.#writing;
    this.#waiting.clear();
  }

  #holdsSome(taskIds: readonly number[]): boolean {
    if (this.#waiting.size === 0 && this.#beingWritten.length === 0) return false;
    const ids = new Set(taskIds);
    for (const items of [this.#beingWritten, this.#waiting.values()])
      for (const item of items) if (ids.has(this.#parts.taskIdOf(item))) return true;
    return false;
  }

  /** @returns False when some were not written: the database is away, or the scheduler stops. */
  #write(): Promise<boolean> {
    this.#writing ??= this.#writeBatches().finally(() => {
      this.#writing = undefined;
      this.#beingWritten = [];
    });
    return this.#writing;
  }

  async #writeBatches(): Promise<boolean> {
    // What arrives in the same turn goes together.
    await new Promise(setImmediate);
    while (this.#waiting.size > 0 && !this.#stopped) if (!(await this.#writeBatch())) return false;
    return this.#waiting.size === 0;
  }

  async #writeBatch(): Promise<boolean> {
    const batch = this.#take();
    this.#beingWritten = batch;
    try {
      await this.#parts.write(batch);
    } catch (error) {
      this.#failures++;
      if (isAbsence(error)) {
        for (const item of batch) this.#putBack(item);
        this.#waitForDatabase();
        return false;
      }
      this.#parts.onRefused({ batch, error, failures: this.#failures });
      return true;
    }
    this.#failures = 0;
    return true;
  }

  #take(): Item[] {
    const batch: Item[] = [];
    let bytes = 0;
    for (const [key, item] of this.#waiting) {
      const size = this.#parts.bytesOf(item);
      if (batch.length === MAX_BATCH || (batch.length > 0 && bytes + size > MAX_BATCH_BYTES)) break;
      bytes += size;
      batch.push(item);
      this.#waiting.delete(key);
    }
    this.#waitingBytes -= bytes;
    return batch;
  }

  /** A newer one may have arrived meanwhile. */
  #putBack(item: Item): void {
    const { keyOf, bytesOf } = this.#parts;
    if (this.#waiting.has(keyOf(item))) return;
    this.#waiting.set(keyOf(item), item);
    this.#waitingBytes += bytesOf(item);
  }

  #waitForDatabase(): void {
    if (this.#stopped) return;
    this.#endWait();
    const wait = Math.min(FIRST_RETRY_MS * 2 ** Math.min(this.#failures - 1, 10), LAST_RETRY_MS);
    this.#stopTimer = this.#parts.clock.after(wait, () => {
      this.#stopTimer = undefined;
      void this.#write();
    });
  }

  #endWait(): void {
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }
}
