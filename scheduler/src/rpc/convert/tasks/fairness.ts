/** The fairness key of a task in protobuf, checked, and back. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FairnessKeySchema, Fairness as FairnessMessage } from "@muster/protocol";
import { type Fairness, MAX_WEIGHT } from "../../../domain/tasks/fairness.ts";
import type { FairnessKeyRow } from "../../../store/store.ts";
import { optionalTime } from "../values/optional.ts";
import { keyFault } from "./limits/concurrency.ts";
import type { Report } from "./options.ts";

/** Undefined for none. */
export function toFairness(message: FairnessMessage | undefined, report: Report): Fairness | undefined {
  if (message === undefined) return undefined;
  const { key, weight } = message;
  const fault = keyFault(key);
  if (fault !== undefined) report("fairness.key", fault);
  if (weight < 0 || weight > MAX_WEIGHT)
    report("fairness.weight", `${weight} is not between 1 and ${MAX_WEIGHT}, or 0 for the default of 1`);
  return { key, weight: weight === 0 ? 1 : weight };
}

/** A key with its tasks in protobuf. */
export function fromFairnessKey(
  { queue, key, taskWeight, override, ready, active }: FairnessKeyRow,
  recentStarts: number,
): MessageInitShape<typeof FairnessKeySchema> {
  return {
    queue,
    key,
    weight: override?.weight ?? taskWeight ?? 1,
    overridden: override !== undefined,
    weightReason: override?.reason ?? "",
    ...optionalTime("weightTime", override?.since),
    readyCount: BigInt(ready),
    activeCount: BigInt(active),
    recentStartCount: BigInt(recentStarts),
  };
}
