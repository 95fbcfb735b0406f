// Amounts of capacities in protobuf, checked, and back.

import { NAME, NAME_RULE } from "@muster/common/text/name-forms";
import { quoted } from "@muster/common/text/text";
import {
  type Amount,
  type Cost,
  MAX_AMOUNT,
  MAX_SLOTS,
  SLOTS,
  toCost,
} from "../../../domain/matching/capacity.ts";

/** Capacities of a worker, and of a cost. */
const MAX_CAPACITIES = 16;

type Report = (field: string, description: string) => void;

/** Amounts by the names of capacities. */
export type Amounts = Readonly<Record<string, bigint>>;

/** A task's cost; undefined for one slot and nothing else. */
export function toTaskCost(given: Amounts, field: string, report: Report): Cost | undefined {
  checkNames(given, field, report);
  for (const [name, amount] of Object.entries(given)) {
    const [least, most] = name === SLOTS ? [1, MAX_SLOTS] : [0, MAX_AMOUNT];
    if (amount < least || amount > most)
      report(entryOf(field, name), `${amount} is not between ${least} and ${most}`);
  }
  return toCost(Object.entries(given).map(([name, amount]) => ({ name, amount: Number(amount) })));
}

/** A worker's capacities besides its slots. */
export function toCapacities(given: Amounts, field: string, report: Report): Record<string, number> {
  checkNames(given, field, report);
  for (const [name, amount] of Object.entries(given)) {
    if (name === SLOTS) report(field, '"slots" is the slot_count; leave it out');
    if (amount < 0n || amount > MAX_AMOUNT)
      report(entryOf(field, name), `${amount} is not between 0 and ${MAX_AMOUNT}`);
  }
  return Object.fromEntries(Object.entries(given).map(([name, amount]) => [name, Number(amount)]));
}

/** A cost as a map; empty for one slot and nothing else. */
export function fromCost(cost: Cost | undefined): Record<string, bigint> {
  return Object.fromEntries((cost ?? []).map(({ name, amount }: Amount) => [name, BigInt(amount)]));
}

/** The field of one entry of a map. */
export function entryOf(field: string, name: string): string {
  return `${field}[${quoted(name, 40)}]`;
}

/** Reports names that no capacity has, and more of them than are allowed. */
export function checkNames(given: Readonly<Record<string, unknown>>, field: string, report: Report): void {
  const names = Object.keys(given);
  if (names.length > MAX_CAPACITIES)
    report(field, `has ${names.length} entries; at most ${MAX_CAPACITIES} are allowed`);
  for (const name of names)
    if (!NAME.test(name)) report(field, `${quoted(name, 40)} is no name of a capacity: it ${NAME_RULE}`);
}
