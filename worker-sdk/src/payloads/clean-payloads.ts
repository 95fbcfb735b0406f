/** Removes payloads and results that no task needs any more. */
import { wallClock } from "../clock.ts";
import { checkSeconds } from "../options/option-checks.ts";
import { OptionsError } from "../options/options-error.ts";
import type { ObjectStore, StoreCallOptions } from "../storage/object-store.ts";
import { CLAIM_PREFIXES } from "./payload-coder.ts";

/** Shortest age: a task may be retried for hours. */
const MIN_AGE_S = 3_600;

/** Options of `cleanPayloads`. */
export interface CleanPayloadsOptions extends StoreCallOptions {
  /**
   * What is older is removed: seconds, 3600 to 316,224,000. It has to exceed the longest time from a submit to the end of its
   * task, and then the time for which the record is kept and may be retried or read: `--keep-days` of the scheduler, 7 by
   * default, or the retention of the queue.
   */
  readonly olderThanS: number;
}

/**
 * Removes the payloads and results that a claim check has put into a store longer ago, and what interrupted calls left.
 * Whether a task still needs them is not looked up. Artifacts stay.
 *
 * @returns How many objects were removed, with their bytes.
 * @throws OptionsError when the age is not valid; what the store throws.
 *
 * @example
 * ```ts
 * const worker = new Worker({
 *   tasks: { "payloads.clean": (ctx) => cleanPayloads(store, { olderThanS: 30 * 86_400, signal: ctx.signal }) },
 * });
 * await client.schedules.set("payloads-clean", { type: "payloads.clean", cron: "0 3 * * *" });
 * ```
 */
export async function cleanPayloads(
  store: ObjectStore,
  { olderThanS, signal }: CleanPayloadsOptions,
): Promise<{ readonly objects: number; readonly bytes: number }> {
  checkSeconds("cleanPayloads", "olderThanS", olderThanS, 316_224_000);
  if (!(olderThanS >= MIN_AGE_S))
    throw new OptionsError("cleanPayloads", [`option olderThanS: ${olderThanS} is less than ${MIN_AGE_S}`]);
  const before = wallClock().getTime() - olderThanS * 1000;
  let [objects, bytes] = [0, 0];
  for (const prefix of Object.values(CLAIM_PREFIXES)) {
    for await (const { key, size, modifiedTime } of store.list(`${prefix}/`, signal && { signal })) {
      if (modifiedTime.getTime() > before) continue;
      await store.delete(key, signal && { signal });
      objects += 1;
      bytes += size;
    }
  }
  await store.removeUnfinished?.(olderThanS, signal && { signal });
  return { objects, bytes };
}
