/** What a task needs after its worker ran out of memory: further labels, and more of capacities. */
import {
  type Amount,
  type Cost,
  MAX_AMOUNT,
  MAX_SLOTS,
  SLOTS,
  slotsOf,
  toCost,
} from "../../matching/capacity.ts";
import type { Requirements } from "../task.ts";
import type { CostRaise, OutOfMemoryChange } from "./retry.ts";

/** Requirements after a change, with what is new in them in words; undefined when nothing of the kind is. */
export interface ChangedRequirements {
  readonly requirements: Requirements;
  readonly labelsAdded: string | undefined;
  readonly costRaised: string | undefined;
}

/** The requirements after one more death by memory. */
export function changeRequirements(
  requirements: Requirements,
  { labels = {}, cost: raises = [] }: OutOfMemoryChange,
): ChangedRequirements {
  const { cost, ...rest } = requirements;
  const added = Object.entries(labels).filter(([name, value]) => requirements.labels[name] !== value);
  const raised = raises.flatMap((raise) => {
    const from = amountOf(raise.name, cost);
    const to = raisedAmount(from, raise);
    return to > from ? [{ name: raise.name, from, to }] : [];
  });
  const higher = raised.length === 0 ? cost : withAmounts(cost, raised);
  return {
    requirements: {
      ...rest,
      ...(added.length === 0 ? {} : { labels: { ...requirements.labels, ...labels } }),
      ...(higher ? { cost: higher } : {}),
    },
    labelsAdded: inWords(added.map(([name, value]) => `${name}=${value}`)),
    costRaised: inWords(raised.map(({ name, from, to }) => `${name} from ${from} to ${to}`)),
  };
}

/** What a task with this cost takes of a capacity. */
export function amountOf(name: string, cost: Cost | undefined): number {
  return name === SLOTS ? slotsOf(cost) : (cost?.find((each) => each.name === name)?.amount ?? 0);
}

function raisedAmount(from: number, raise: CostRaise): number {
  // 15 digits: 10 times 1.1 is 11, and not 12 for a rest of 2 * 10^-15.
  const to =
    "factor" in raise ? Math.ceil(Number((from * raise.factor).toPrecision(15))) : from + raise.addition;
  return Math.max(from, Math.min(to, raise.most ?? (raise.name === SLOTS ? MAX_SLOTS : MAX_AMOUNT)));
}

function withAmounts(cost: Cost | undefined, raised: readonly { name: string; to: number }[]) {
  const amounts = new Map((cost ?? []).map(({ name, amount }: Amount) => [name, amount]));
  for (const { name, to } of raised) amounts.set(name, to);
  return toCost([...amounts].map(([name, amount]) => ({ name, amount })));
}

function inWords(changes: readonly string[]): string | undefined {
  return changes.length === 0 ? undefined : changes.join(", ");
}
