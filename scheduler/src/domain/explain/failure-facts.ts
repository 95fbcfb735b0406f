/** What a handler noted of a failure, as evidence. */
import { type Failure, factsInWords } from "../tasks/outcome/failure.ts";
import type { Evidence } from "./reason.ts";

export function failureFacts(failure: Failure): Evidence[] {
  return factsInWords(failure).map((value) => ({ key: "fact", value, source: "database" }));
}
