/** Parses concurrency keys. */
import { ConcurrencyLimitPolicy, ConcurrencyOrder } from "@muster/protocol";
import { InvalidArgumentError } from "commander";

/** A key with the limit of the task. */
export interface ConcurrencyKey {
  readonly key: string;
  readonly limit: number;
  readonly onLimit: ConcurrencyLimitPolicy;
  readonly order: ConcurrencyOrder;
}

/** Policies by the words that may follow a limit. */
export const LIMIT_POLICIES: Readonly<Record<string, ConcurrencyLimitPolicy>> = {
  queue: ConcurrencyLimitPolicy.QUEUE,
  "cancel-newest": ConcurrencyLimitPolicy.CANCEL_NEWEST,
  "cancel-running": ConcurrencyLimitPolicy.CANCEL_RUNNING,
};

/** Gives the key a strict order. */
const STRICT = "strict";

/** A parser of a repeated `key=limit[,policy][,strict]` option. The last `=` divides: a key may have others. */
export function concurrencyKey(text: string, before: readonly ConcurrencyKey[] = []): ConcurrencyKey[] {
  const at = text.lastIndexOf("=");
  const [limit = "", ...words] = text.slice(at + 1).split(",");
  const order = words.includes(STRICT) ? ConcurrencyOrder.STRICT_FIFO : ConcurrencyOrder.UNSPECIFIED;
  const [policy = "queue", ...rest] = words.filter((word) => word !== STRICT);
  if (at < 1 || !/^\d{1,7}$/.test(limit) || rest.length > 0)
    throw new InvalidArgumentError(`"${text}" is not key=limit, for example customer-17=1`);
  const onLimit = LIMIT_POLICIES[policy];
  if (onLimit === undefined)
    throw new InvalidArgumentError(
      `"${policy}" is no policy; after the limit use one of ${[...Object.keys(LIMIT_POLICIES), STRICT].join(", ")}, for example customer-17=1,cancel-newest`,
    );
  return [...before, { key: text.slice(0, at), limit: Number(limit), onLimit, order }];
}

/** A key as `muster submit` takes it. */
export function showConcurrencyKey({ key, limit, onLimit, order }: ConcurrencyKey): string {
  const policy = Object.entries(LIMIT_POLICIES).find(([, each]) => each === onLimit)?.[0];
  return [
    `${key}=${limit}`,
    ...(policy === undefined || policy === "queue" ? [] : [policy]),
    ...(order === ConcurrencyOrder.STRICT_FIFO ? [STRICT] : []),
  ].join(",");
}
