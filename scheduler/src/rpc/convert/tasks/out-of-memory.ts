// The change of a task's requirements after its worker ran out of memory in protobuf, checked, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text/text";
import type {
  CostRaise as CostRaiseMessage,
  OutOfMemoryChange as Message,
  OutOfMemoryChangeSchema,
} from "@muster/protocol";
import { MAX_AMOUNT, MAX_SLOTS, SLOTS } from "../../../domain/matching/capacity.ts";
import type { CostRaise, OutOfMemoryChange } from "../../../domain/tasks/outcome/retry.ts";
import { type Amounts, checkNames, entryOf } from "../values/amounts.ts";

/** Labels that may be added to those of a task, of which it has up to 64. */
const MAX_LABELS = 32;

/** Capacities of a cost. */
const MAX_COSTS = 16;

const MAX_FACTOR = 100;

type Report = (field: string, description: string) => void;

const FIELD = "retry_policy.on_out_of_memory";

/** @param cost What the task costs at first. */
export function toOutOfMemoryChange(message: Message, cost: Amounts, report: Report): OutOfMemoryChange {
  const { labels } = message;
  const raises = Object.entries(message.cost).sort(([a], [b]) => (a < b ? -1 : 1));
  const count = Object.keys(labels).length;
  if (count === 0 && raises.length === 0) report(FIELD, "changes nothing; give labels or a cost");
  if (count > MAX_LABELS)
    report(`${FIELD}.labels`, `has ${count} entries; at most ${MAX_LABELS} are allowed`);
  for (const text of Object.entries(labels).flat()) {
    if (text === "" || text.length > 256 || text.includes("\0"))
      report(`${FIELD}.labels`, `${quoted(text, 40)} must have 1 to 256 characters and no NUL`);
  }
  checkNames(message.cost, `${FIELD}.cost`, report);
  const names = new Set([...Object.keys(cost), ...Object.keys(message.cost)]);
  if (raises.length <= MAX_COSTS && names.size > MAX_COSTS)
    report(
      `${FIELD}.cost`,
      `and requirements.cost name ${names.size} capacities together; at most ${MAX_COSTS} are allowed`,
    );
  const changed = raises.map(([name, raise]) => toRaise(name, raise, cost, report));
  return { ...(count > 0 ? { labels } : {}), ...(changed.length > 0 ? { cost: changed } : {}) };
}

function toRaise(name: string, message: CostRaiseMessage, cost: Amounts, report: Report): CostRaise {
  const field = entryOf(`${FIELD}.cost`, name);
  const { growth, maxAmount } = message;
  const given = cost[name] ?? (name === SLOTS ? 1n : 0n);
  const largest = name === SLOTS ? MAX_SLOTS : MAX_AMOUNT;
  if (maxAmount !== 0n && (maxAmount < given || maxAmount > largest || maxAmount < 0n))
    report(`${field}.max_amount`, `${maxAmount} is not between ${given} and ${largest}`);
  const most = maxAmount === 0n ? {} : { most: Number(maxAmount) };
  switch (growth.case) {
    case "factor":
      if (!(growth.value > 1 && growth.value <= MAX_FACTOR))
        report(`${field}.factor`, `${growth.value} is not more than 1 and at most ${MAX_FACTOR}`);
      else if (given === 0n)
        report(
          `${field}.factor`,
          "multiplies nothing: requirements.cost does not have this capacity; add it there, or give an addition",
        );
      return { name, factor: growth.value, ...most };
    case "addition":
      if (growth.value < 1n || growth.value > largest)
        report(`${field}.addition`, `${growth.value} is not between 1 and ${largest}`);
      return { name, addition: Number(growth.value), ...most };
    default:
      report(field, "has neither a factor nor an addition; give one of them");
      return { name, addition: 0 };
  }
}

/** The change in protobuf. */
export function fromOutOfMemoryChange({
  labels = {},
  cost = [],
}: OutOfMemoryChange): MessageInitShape<typeof OutOfMemoryChangeSchema> {
  return {
    labels: { ...labels },
    cost: Object.fromEntries(cost.map((each) => [each.name, fromRaise(each)])),
  };
}

function fromRaise(raise: CostRaise) {
  return {
    growth:
      "factor" in raise
        ? { case: "factor" as const, value: raise.factor }
        : { case: "addition" as const, value: BigInt(raise.addition) },
    maxAmount: BigInt(raise.most ?? 0),
  };
}
