/** The admission rule of paused queues. */
import type { TaskClass } from "../../domain/matching/match.ts";
import type { QueueStore } from "../../store/store.ts";
import { ReadWhenChanged } from "../read-when-changed.ts";
import type { AdmissionRule, HoldReason } from "./rule.ts";

const PAUSED: HoldReason = Object.freeze({
  code: "QUEUE_PAUSED",
  name: "queue_paused",
  detail: "the queue is paused",
});

/** Holds back the classes of paused queues. The database has the truth; the poller brings it here. */
export class PausedQueues implements AdmissionRule {
  readonly #reads = new ReadWhenChanged();
  #names: ReadonlySet<string> = new Set();

  isPaused(queue: string): boolean {
    return this.#names.has(queue);
  }

  /** Reads which queues are paused. @throws DatabaseUnavailableError */
  refresh(store: Pick<QueueStore, "pausedQueues">): Promise<void> {
    return this.#reads.now(() => this.#read(store));
  }

  /** @throws DatabaseUnavailableError */
  refreshIfChanged(fingerprint: string, store: Pick<QueueStore, "pausedQueues">): Promise<void> {
    return this.#reads.ifChanged(fingerprint, () => this.#read(store));
  }

  async #read(store: Pick<QueueStore, "pausedQueues">): Promise<void> {
    this.setPaused(await store.pausedQueues());
  }

  /** Takes over which queues are paused; true when that changed. */
  setPaused(queues: readonly string[]): boolean {
    if (queues.length === this.#names.size && queues.every((name) => this.#names.has(name))) return false;
    this.#names = new Set(queues);
    return true;
  }

  holdReason({ queue }: TaskClass): HoldReason | undefined {
    return this.#names.size > 0 && this.#names.has(queue) ? PAUSED : undefined;
  }
}
