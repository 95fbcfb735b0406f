import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExplanationSchema } from "@muster/protocol";
import type { Explanation } from "../domain/explain/reason.ts";
import { durationFromMs, timestampFromDate } from "./time.ts";

/** An explanation as it is sent. */
export function fromExplanation({
  subject,
  state,
  reasons,
}: Explanation): MessageInitShape<typeof ExplanationSchema> {
  return {
    subject,
    state,
    reasons: reasons.map(({ code, summary, since, evidence, remedy }) => ({
      code,
      summary,
      ...(since ? { since: timestampFromDate(since) } : {}),
      evidence: evidence.map(({ key, value, source, ageMs }) => ({
        key,
        value,
        source,
        ...(ageMs === undefined ? {} : { age: durationFromMs(Math.max(0, Math.round(ageMs))) }),
      })),
      remedy,
    })),
  };
}
