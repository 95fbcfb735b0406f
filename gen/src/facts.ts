// Facts of failures in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { FactValueSchema } from "./generated/muster/v1/failure_pb.ts";

/** Facts in protobuf. */
export function encodeFacts(
  facts: Readonly<Record<string, number | string | boolean>>,
): Record<string, MessageInitShape<typeof FactValueSchema>> {
  return Object.fromEntries(Object.entries(facts).map(([name, value]) => [name, encodeFact(value)]));
}

function encodeFact(value: number | string | boolean): MessageInitShape<typeof FactValueSchema> {
  switch (typeof value) {
    case "number":
      return { kind: { case: "number", value } };
    case "boolean":
      return { kind: { case: "flag", value } };
    default:
      return { kind: { case: "text", value } };
  }
}
