/** Parses concurrency keys. */
import { InvalidArgumentError } from "commander";

/** A key with the limit of the task. */
export interface ConcurrencyKey {
  readonly key: string;
  readonly limit: number;
}

/** A parser of a repeated `key=limit` option. The last `=` divides: a key may have others. */
export function concurrencyKey(text: string, before: readonly ConcurrencyKey[] = []): ConcurrencyKey[] {
  const at = text.lastIndexOf("=");
  const limit = text.slice(at + 1);
  if (at < 1 || !/^\d{1,7}$/.test(limit))
    throw new InvalidArgumentError(`"${text}" is not key=limit, for example customer-17=1`);
  return [...before, { key: text.slice(0, at), limit: Number(limit) }];
}
