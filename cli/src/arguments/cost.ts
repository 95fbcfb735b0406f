/** Parses costs of tasks. */
import { InvalidArgumentError } from "commander";

/** A parser of a repeated `name=amount` option. */
export function costAmount(text: string, before: Readonly<Record<string, bigint>> = {}) {
  const [, name, amount] = /^([^=]+)=(\d{1,13})$/.exec(text) ?? [];
  if (name === undefined || amount === undefined)
    throw new InvalidArgumentError(
      `"${text}" is not name=amount with a whole amount, for example gpu_memory_mb=8000`,
    );
  return { ...before, [name]: BigInt(amount) };
}
