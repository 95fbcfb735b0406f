// Concurrency keys of a task in protobuf, checked, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import {
  type ConcurrencyKey as ConcurrencyKeyMessage,
  type ConcurrencyKeySchema,
  ConcurrencyLimitPolicy,
  ConcurrencyOrder,
  type ConcurrencyOutcomeSchema,
  type LockSchema,
} from "@muster/protocol";
import { formatAttemptId, formatTaskId } from "../../../../domain/ids.ts";
import { invalidRequest } from "../../../../domain/refusals.ts";
import {
  type ConcurrencyKey,
  inKeyOrder,
  type OnLimit,
} from "../../../../domain/tasks/limits/concurrency.ts";
import { type LimitOutcome, MAX_POLICY_LIMIT } from "../../../../domain/tasks/limits/limit-plan.ts";
import type { LockRow } from "../../../../store/store.ts";
import { named, unknown } from "../../values/names.ts";
import { optional, optionalTime } from "../../values/optional.ts";
import { timestampFromDate } from "../../values/time.ts";
import type { Report } from "../options.ts";

const MAX_KEYS = 8;

const MAX_KEY_BYTES = 256;

/** Largest limit. */
export const MAX_LIMIT = 1_000_000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is refused.
const CONTROL = /[\u0000-\u001f\u007f]/;

const POLICIES: Readonly<Record<"queue" | OnLimit, ConcurrencyLimitPolicy>> = {
  queue: ConcurrencyLimitPolicy.QUEUE,
  cancel_newest: ConcurrencyLimitPolicy.CANCEL_NEWEST,
  cancel_running: ConcurrencyLimitPolicy.CANCEL_RUNNING,
};

const ORDERS: Readonly<Record<"strict_fifo", ConcurrencyOrder>> = {
  strict_fifo: ConcurrencyOrder.STRICT_FIFO,
};

/** What is wrong with a key; undefined when it is valid. */
export function keyFault(key: string): string | undefined {
  if (key === "") return "is empty; name what the tasks share, for example customer-17";
  const bytes = Buffer.byteLength(key);
  if (bytes > MAX_KEY_BYTES) return `has ${bytes} bytes; at most ${MAX_KEY_BYTES} are allowed`;
  if (CONTROL.test(key)) return `${quoted(key)} holds a control character; use printable characters`;
  if (!key.isWellFormed()) return `${quoted(key)} holds half of a character; use whole ones`;
  return undefined;
}

/** @throws Refusal when the key of a request is not valid. */
export function requireKey(key: string): void {
  const fault = keyFault(key);
  if (fault !== undefined) throw invalidRequest({ field: "key", description: fault });
}

/** The keys of a task with this priority in their order; undefined for none. */
export function toConcurrency(
  keys: readonly ConcurrencyKeyMessage[],
  priority: number,
  report: Report,
): readonly ConcurrencyKey[] | undefined {
  if (keys.length === 0) return undefined;
  if (keys.length > MAX_KEYS) {
    report("concurrency", `has ${keys.length} keys; at most ${MAX_KEYS} are allowed`);
    return undefined;
  }
  const seen = new Set<string>();
  keys.forEach(({ key, limit, onLimit, order }, index) => {
    const fault = keyFault(key);
    if (fault !== undefined) report(`concurrency[${index}].key`, fault);
    else if (seen.has(key))
      report(`concurrency[${index}].key`, `${quoted(key)} stands twice; give each key once, with one limit`);
    seen.add(key);
    if (limit < 1 || limit > MAX_LIMIT)
      report(`concurrency[${index}].limit`, `${limit} is not between 1 and ${MAX_LIMIT}`);
    else if (limit > MAX_POLICY_LIMIT && policyOf(onLimit) !== undefined)
      report(
        `concurrency[${index}].limit`,
        `${limit} is more than ${MAX_POLICY_LIMIT}, the most with a policy other than queue`,
      );
    if (onLimit !== ConcurrencyLimitPolicy.UNSPECIFIED && named(POLICIES, onLimit) === undefined)
      report(`concurrency[${index}].on_limit`, unknown(onLimit, POLICIES));
    if (order !== ConcurrencyOrder.UNSPECIFIED && named(ORDERS, order) === undefined)
      report(`concurrency[${index}].order`, unknown(order, ORDERS));
  });
  return inKeyOrder(
    keys.map(({ key, limit, onLimit: given, order }) => {
      const onLimit = policyOf(given);
      return {
        key,
        limit,
        ...(onLimit === undefined ? {} : { onLimit }),
        ...(order === ConcurrencyOrder.STRICT_FIFO ? { strict: { priority } } : {}),
      };
    }),
  );
}

/** The keys of a task in protobuf. */
export function fromConcurrency(
  keys: readonly ConcurrencyKey[] = [],
): MessageInitShape<typeof ConcurrencyKeySchema>[] {
  return keys.map(({ key, limit, onLimit, strict }) => ({
    key,
    limit,
    onLimit: POLICIES[onLimit ?? "queue"],
    order: strict ? ConcurrencyOrder.STRICT_FIFO : ConcurrencyOrder.UNSPECIFIED,
  }));
}

/** What the keys of a submitted task did. */
export function fromLimitOutcome({
  reached,
  cancelled,
}: LimitOutcome): MessageInitShape<typeof ConcurrencyOutcomeSchema> {
  return {
    ...optional(
      "limitReached",
      reached && { key: reached.key, limit: reached.limit, taskIds: reached.taskIds.map(formatTaskId) },
    ),
    cancelledTaskIds: cancelled.map(formatTaskId),
  };
}

/** Undefined when the task waits. */
function policyOf(policy: ConcurrencyLimitPolicy): OnLimit | undefined {
  const name = named(POLICIES, policy);
  return name === "queue" ? undefined : name;
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
    firstTaskId: lock.firstInOrder === undefined ? "" : formatTaskId(lock.firstInOrder),
  };
}
