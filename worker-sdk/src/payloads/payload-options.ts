/** The option `payloads` of workers and clients. */
import type { ObjectStore } from "../storage/object-store.ts";
import type { PayloadCodec } from "./codec.ts";

/** Where large payloads and results are kept. */
export interface ClaimCheckOptions {
  /** The store, the same one for clients and workers. */
  readonly store: ObjectStore;
  /**
   * What has more bytes when it is encoded is put into the store, and the task has a reference to it: 0 to 2^30.
   * @default 262144: 256 KiB
   */
  readonly aboveBytes?: number;
}

/**
 * How payloads and results are encoded. Clients encode what they submit and decode results, workers decode payloads and
 * encode results: both need the same options.
 *
 * @example
 * ```ts
 * const payloads: PayloadOptions = {
 *   codecs: [compression(), encryption({ keys: { "2026": key }, current: "2026" })],
 *   claimCheck: { store: new FolderStore({ dir: "/srv/payloads" }) },
 * };
 * const client = new Client({ payloads });
 * const worker = new Worker({ payloads, tasks });
 * ```
 */
export interface PayloadOptions {
  /**
   * Codecs in the order in which they encode: compression before encryption. At most 8, each name once. What was encoded
   * with others cannot be read.
   * @default none
   */
  readonly codecs?: readonly PayloadCodec[];
  /**
   * Keeps what is large in a store.
   * @default none: it is part of the task, and the scheduler refuses more than its limit (1 MiB by default)
   */
  readonly claimCheck?: ClaimCheckOptions;
  /**
   * Largest content of a payload or result, before it is encoded and after it is decoded: 1 to 2^31 bytes. It bounds the
   * memory that one task takes.
   * @default 268435456: 256 MiB
   */
  readonly maxBytes?: number;
}

/** The option with its effective values. */
export interface PayloadSettings {
  readonly codecs: readonly PayloadCodec[];
  readonly store: ObjectStore | undefined;
  readonly aboveBytes: number;
  readonly maxBytes: number;
}
