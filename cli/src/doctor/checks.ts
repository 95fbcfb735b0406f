/** Checks that `muster doctor` makes without the scheduler. */
import { create } from "@bufbuild/protobuf";
import type { Check, Evidence } from "@muster/protocol";
import { CheckSchema, CheckStatus } from "@muster/protocol";

/** A result of the CLI's own checks. */
export interface Finding {
  readonly name: string;
  readonly status: CheckStatus;
  readonly summary: string;
  readonly remedy?: string;
  readonly evidence?: readonly Pick<Evidence, "key" | "value">[];
}

/** A finding in the form of the scheduler's checks. */
export function toCheck({ name, status, summary, remedy = "", evidence = [] }: Finding): Check {
  return create(CheckSchema, {
    name,
    status,
    summary,
    remedy,
    evidence: evidence.map(({ key, value }) => ({ key, value, source: "cli" })),
  });
}

/** True for a result that makes the command fail. */
export function isWrong({ status }: Pick<Check, "status">): boolean {
  return status === CheckStatus.WARNING || status === CheckStatus.FAILED;
}
