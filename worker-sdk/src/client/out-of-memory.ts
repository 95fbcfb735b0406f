/** The change of what a task needs after its worker ran out of memory, checked and in protobuf. */
import { create } from "@bufbuild/protobuf";
import {
  type CostRaise as CostRaiseMessage,
  CostRaiseSchema,
  type OutOfMemoryChange,
  OutOfMemoryChangeSchema,
} from "@muster/protocol";
import type { CostRaise, OutOfMemoryOptions } from "./submit-spec.ts";

/** Largest amount of a capacity. */
const MAX_AMOUNT = 1_000_000_000_000;

const GROWTH = /^(?:x(\d{1,3}(?:\.\d{1,9})?)|\+(\d{1,13}))$/;

/** What is wrong with the options, each with its name. */
export function outOfMemoryFaults({ cost = {} }: OutOfMemoryOptions): string[] {
  return Object.entries(cost).flatMap(([name, raise]) => {
    const option = `option retry.onOutOfMemory.cost.${name}`;
    const { by, max } = partsOf(raise);
    const faults: string[] = [];
    if (!GROWTH.test(by))
      faults.push(
        `${option}: ${JSON.stringify(String(by).slice(0, 64))} is neither a factor, for example "x2", nor an addition, for example "+4000"`,
      );
    if (max !== undefined && !(Number.isInteger(max) && max >= 1 && max <= MAX_AMOUNT))
      faults.push(`${option}.max: ${String(max)} is not an integer from 1 to ${MAX_AMOUNT}`);
    return faults;
  });
}

/** The options in protobuf; they have no faults. */
export function encodeOutOfMemory({ labels, cost = {} }: OutOfMemoryOptions): OutOfMemoryChange {
  return create(OutOfMemoryChangeSchema, {
    labels: { ...labels },
    cost: Object.fromEntries(Object.entries(cost).map(([name, raise]) => [name, encodeRaise(raise)])),
  });
}

function encodeRaise(raise: CostRaise): CostRaiseMessage {
  const { by, max = 0 } = partsOf(raise);
  const [, factor, addition = "0"] = GROWTH.exec(by) ?? [];
  return create(CostRaiseSchema, {
    growth:
      factor === undefined
        ? { case: "addition", value: BigInt(addition) }
        : { case: "factor", value: Number(factor) },
    maxAmount: BigInt(max),
  });
}

/** Programs without types may give anything. */
function partsOf(raise: CostRaise): { readonly by: string; readonly max?: number } {
  return typeof raise === "object" && raise !== null ? raise : { by: raise };
}
