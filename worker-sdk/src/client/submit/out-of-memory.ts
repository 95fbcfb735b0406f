/** Checks the change of what a task needs after its worker ran out of memory. Task definitions import it: it loads no protobuf. */
import type { CostRaise, OutOfMemoryOptions } from "./submit-spec.ts";

/** Largest amount of a capacity. */
const MAX_AMOUNT = 1_000_000_000_000;

/** A factor, or an addition. */
export const GROWTH = /^(?:x(\d{1,3}(?:\.\d{1,9})?)|\+(\d{1,13}))$/;

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

/** A raise with its parts named; programs without types may give anything. */
export function partsOf(raise: CostRaise): { readonly by: string; readonly max?: number } {
  return typeof raise === "object" && raise !== null ? raise : { by: raise };
}
