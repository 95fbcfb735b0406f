/** Shows what handlers noted and measured. */
import type { FactValue } from "@muster/protocol";
import { oneLine, printable } from "../text.ts";

/** Facts of a failure: `(iteration=3 model=large)`; empty for none. */
export function factsText(facts: Readonly<Record<string, FactValue>>): string {
  const entries = Object.entries(facts);
  if (entries.length === 0) return "";
  return `(${entries.map(([name, { kind }]) => `${name}=${oneLine(printable(String(kind.value)))}`).join(" ")})`;
}

/** Sums of an attempt: `tokens_in=1500 cost=0.25`; empty for none. */
export function sumsText(sums: Readonly<Record<string, number>>): string {
  return Object.entries(sums)
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([name, sum]) => `${name}=${numberText(sum)}`)
    .join(" ");
}

/** A sum without the error of adding fractions: `0.3`, not `0.30000000000000004`. */
export function numberText(value: number): string {
  return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(12)));
}
