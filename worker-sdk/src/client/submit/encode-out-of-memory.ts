/** The change of what a task needs after its worker ran out of memory, in protobuf. */
import { create } from "@bufbuild/protobuf";
import {
  type CostRaise as CostRaiseMessage,
  CostRaiseSchema,
  type OutOfMemoryChange,
  OutOfMemoryChangeSchema,
} from "@muster/protocol";
import { GROWTH, partsOf } from "./out-of-memory.ts";
import type { CostRaise, OutOfMemoryOptions } from "./submit-spec.ts";

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
