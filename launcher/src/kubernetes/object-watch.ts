/** Keeps a copy of objects of one namespace: a list, then a watch from there, and a new list when that is too old. */
import type { Clock } from "../clock.ts";
import { type ClusterApi, ClusterError } from "./cluster-api.ts";
import type { ClusterObject } from "./pod.ts";

/** Delays between tries, doubling from the first to the last, milliseconds. */
const FIRST_RETRY_MS = 500;
const LAST_RETRY_MS = 10_000;

/** Objects in one answer of a list. */
const PAGE = 500;

/** What is watched, and what is called. */
export interface ObjectWatchOptions<T> {
  readonly api: ClusterApi;
  readonly clock: Clock;
  readonly path: string;
  readonly query: Readonly<Record<string, string>>;
  readonly changed: (object: T) => void;
  /** With its last state. */
  readonly gone: (object: T) => void;
  /** A list is complete: what is there is known. */
  readonly listed: () => void;
  /** A watch has begun. */
  readonly opened: () => void;
  /** A list or a watch has failed, and is tried again. */
  readonly failed: (error: ClusterError) => void;
}

/** The copy. */
export class ObjectWatch<T extends ClusterObject> {
  readonly #options: ObjectWatchOptions<T>;
  readonly #objects = new Map<string, T>();
  #version: string | undefined;

  constructor(options: ObjectWatchOptions<T>) {
    this.#options = options;
  }

  /** Runs until the signal. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, failed } = this.#options;
    let delayMs = FIRST_RETRY_MS;
    while (!signal.aborted) {
      const beganMs = clock.monotonic();
      try {
        if (this.#version === undefined) await this.#list(signal);
        await this.#watch(signal);
        delayMs = FIRST_RETRY_MS;
        // A proxy may end every watch at once.
        if (clock.monotonic() - beganMs < FIRST_RETRY_MS) await clock.sleep(FIRST_RETRY_MS, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (!(error instanceof ClusterError)) throw error;
        // What happened since is not kept any more: a list has what is there now.
        if (error.status === 410) {
          this.#version = undefined;
          if (clock.monotonic() - beganMs < FIRST_RETRY_MS) await clock.sleep(FIRST_RETRY_MS, signal);
          continue;
        }
        failed(error);
        await clock.sleep(delayMs * (0.5 + Math.random() / 2), signal);
        delayMs = Math.min(LAST_RETRY_MS, delayMs * 2);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { api, path, query, listed } = this.#options;
    interface Page {
      readonly metadata?: { readonly resourceVersion?: string; readonly continue?: string };
      readonly items?: readonly T[];
    }
    const found = new Map<string, T>();
    let version = "";
    let next: string | undefined;
    do {
      const page: Page = await api.json<Page>({
        ...{ method: "GET", path, signal },
        query: { ...query, limit: PAGE, continue: next },
      });
      for (const item of page.items ?? []) found.set(keyOf(item), item);
      version = page.metadata?.resourceVersion ?? "";
      next = page.metadata?.continue || undefined;
    } while (next !== undefined);
    for (const [key, object] of [...this.#objects]) if (!found.has(key)) this.#remove(key, object);
    for (const object of found.values()) this.#put(object);
    this.#version = version;
    listed();
  }

  async #watch(signal: AbortSignal): Promise<void> {
    const { api, path, query, opened } = this.#options;
    for await (const { type, object } of api.watch(path, query, this.#version ?? "", { signal, opened })) {
      const changed = object as T;
      this.#version = changed.metadata?.resourceVersion ?? this.#version;
      if (type === "ADDED" || type === "MODIFIED") this.#put(changed);
      else if (type === "DELETED") this.#remove(keyOf(changed), changed);
    }
  }

  #put(object: T): void {
    const key = keyOf(object);
    const before = this.#objects.get(key);
    if (before?.metadata?.resourceVersion === object.metadata?.resourceVersion) return;
    this.#objects.set(key, object);
    this.#options.changed(object);
  }

  #remove(key: string, last: T): void {
    if (this.#objects.delete(key)) this.#options.gone(last);
  }
}

/** By uid: another object may have the name of an earlier one. */
function keyOf({ metadata = {} }: ClusterObject): string {
  return metadata.uid ?? metadata.name ?? "";
}
