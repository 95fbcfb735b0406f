// A diagnosis in protobuf.
import type { MessageInitShape } from "@bufbuild/protobuf";
import { type CheckSchema, CheckStatus, type DiagnosisSchema } from "@muster/protocol";
import type { Check } from "../../../domain/diagnosis/check.ts";
import type { Diagnosis } from "../../../queries/diagnoser.ts";
import { durationFromMs, timestampFromMs } from "../values/time.ts";

const STATUSES: Readonly<Record<Check["status"], CheckStatus>> = {
  ok: CheckStatus.OK,
  note: CheckStatus.NOTE,
  warning: CheckStatus.WARNING,
  failed: CheckStatus.FAILED,
  skipped: CheckStatus.SKIPPED,
};

/** A diagnosis in protobuf. */
export function fromDiagnosis(diagnosis: Diagnosis): MessageInitShape<typeof DiagnosisSchema> {
  return {
    schedulerId: diagnosis.schedulerId,
    schedulerVersion: diagnosis.schedulerVersion,
    schedulerTime: timestampFromMs(diagnosis.wallTime),
    checks: diagnosis.checks.map(fromCheck),
    settings: [...diagnosis.settings],
  };
}

function fromCheck({ name, status, summary, evidence, remedy }: Check): MessageInitShape<typeof CheckSchema> {
  return {
    name,
    status: STATUSES[status],
    summary,
    evidence: evidence.map(({ key, value, source, ageMs }) => ({
      key,
      value,
      source,
      ...(ageMs === undefined ? {} : { age: durationFromMs(Math.max(0, Math.round(ageMs))) }),
    })),
    remedy,
  };
}
