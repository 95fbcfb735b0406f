/** Parses costs of tasks, and how they grow. */
import { create } from "@bufbuild/protobuf";
import { type CostRaise, CostRaiseSchema } from "@muster/protocol";
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

/** A parser of a repeated `name=x2` or `name=+4000`, with `,max=24000` or without. */
export function costRaise(text: string, before: Readonly<Record<string, CostRaise>> = {}) {
  const [, name, factor, addition, max = "0"] =
    /^([^=]+)=(?:x(\d{1,3}(?:\.\d{1,9})?)|\+(\d{1,13}))(?:,max=(\d{1,13}))?$/.exec(text) ?? [];
  if (name === undefined)
    throw new InvalidArgumentError(
      `"${text}" is neither name=xFACTOR nor name=+AMOUNT, for example memory_mb=x2 or memory_mb=x2,max=24000`,
    );
  const growth =
    factor === undefined
      ? { case: "addition" as const, value: BigInt(addition ?? 0) }
      : { case: "factor" as const, value: Number(factor) };
  return { ...before, [name]: create(CostRaiseSchema, { growth, maxAmount: BigInt(max) }) };
}
