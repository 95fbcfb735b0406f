// Concurrency keys of a task in protobuf, checked, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text";
import type { ConcurrencyKey as ConcurrencyKeyMessage, LockSchema } from "@muster/protocol";
import { formatAttemptId } from "../../../domain/ids.ts";
import { type ConcurrencyKey, inKeyOrder } from "../../../domain/tasks/concurrency.ts";
import type { LockRow } from "../../../store/store.ts";
import { optional, optionalTime } from "../values/optional.ts";
import { timestampFromDate } from "../values/time.ts";
import type { Report } from "./options.ts";

const MAX_KEYS = 8;

const MAX_KEY_BYTES = 256;

/** Largest limit. */
export const MAX_LIMIT = 1_000_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const CONTROL = /[\u0000-\u001f\u007f]/;

/** What is wrong with a key; undefined when it is valid. */
export function keyFault(key: string): string | undefined {
  if (key === "") return "is empty; name what the tasks share, for example customer-17";
  const bytes = Buffer.byteLength(key);
  if (bytes > MAX_KEY_BYTES) return `has ${bytes} bytes; at most ${MAX_KEY_BYTES} are allowed`;
  if (CONTROL.test(key)) return `${quoted(key)} holds a control character; use printable characters`;
  if (!key.isWellFormed()) return `${quoted(key)} holds half of a character; use whole ones`;
  return undefined;
}

/** The keys of a task in their order; undefined for none. */
export function toConcurrency(
  keys: readonly ConcurrencyKeyMessage[],
  report: Report,
): readonly ConcurrencyKey[] | undefined {
  if (keys.length === 0) return undefined;
  if (keys.length > MAX_KEYS) {
    report("concurrency", `has ${keys.length} keys; at most ${MAX_KEYS} are allowed`);
    return undefined;
  }
  const seen = new Set<string>();
  keys.forEach(({ key, limit }, index) => {
    const fault = keyFault(key);
    if (fault !== undefined) report(`concurrency[${index}].key`, fault);
    else if (seen.has(key))
      report(`concurrency[${index}].key`, `${quoted(key)} stands twice; give each key once, with one limit`);
    seen.add(key);
    if (limit < 1 || limit > MAX_LIMIT)
      report(`concurrency[${index}].limit`, `${limit} is not between 1 and ${MAX_LIMIT}`);
  });
  return inKeyOrder(keys.map(({ key, limit }) => ({ key, limit })));
}

/** A key with its holders in protobuf. */
export function fromLock(lock: LockRow): MessageInitShape<typeof LockSchema> {
  const { key, held, holders, waiting, taskLimits, override } = lock;
  return {
    key,
    heldCount: BigInt(held),
    holders: holders.map((holder) => ({
      attemptId: formatAttemptId(holder),
      taskType: holder.type,
      queue: holder.queue,
      workerId: holder.workerId ?? "",
      holdTime: timestampFromDate(holder.since),
    })),
    waitingCount: BigInt(waiting),
    ...optionalTime("waitingTime", lock.waitingSince),
    lowestTaskLimit: taskLimits?.least ?? 0,
    highestTaskLimit: taskLimits?.most ?? 0,
    ...optional("limitOverride", override?.limit),
    limitReason: override?.reason ?? "",
    ...optionalTime("limitTime", override?.time),
  };
}
