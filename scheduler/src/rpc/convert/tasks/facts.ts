// Facts of failures in protobuf, and back.

import type { MessageInitShape } from "@bufbuild/protobuf";
import { type Facts, withFact } from "@muster/common/facts";
import type { FactValue, FactValueSchema } from "@muster/protocol";

/** Facts in protobuf. */
export function fromFacts(facts: Facts = {}): Record<string, MessageInitShape<typeof FactValueSchema>> {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, fromFact(value)]));
}

function fromFact(value: Facts[string]): MessageInitShape<typeof FactValueSchema> {
  switch (typeof value) {
    case "number":
      return { kind: { case: "number", value } };
    case "boolean":
      return { kind: { case: "flag", value } };
    default:
      return { kind: { case: "text", value } };
  }
}

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
