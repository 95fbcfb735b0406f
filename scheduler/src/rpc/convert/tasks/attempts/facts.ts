// Facts of failures from protobuf.

import { type Facts, withFact } from "@muster/common/facts";
import type { FactValue } from "@muster/protocol";

/** Facts from protobuf: as many as there is room for, and how many are left out. */
export function toFacts(entries: Readonly<Record<string, FactValue>>): { facts: Facts; leftOut: number } {
  let facts: Facts = {};
  let leftOut = 0;
  for (const [name, { kind }] of Object.entries(entries)) {
    const added = withFact(facts, name, kind.value);
    if ("facts" in added) facts = added.facts;
    else leftOut++;
  }
  return { facts, leftOut };
}
