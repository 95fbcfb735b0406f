// An explanation in protobuf.

import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ExplanationSchema } from "@muster/protocol";
import type { Explanation } from "../../../domain/explain/reason.ts";
import { durationFromMs, timestampFromDate } from "../values/time.ts";

/** Longest text of an explanation, characters, and most reasons and facts of one: it must fit into a message. */
const MAX_TEXT = 2_000;

const MAX_REASONS = 50;

const MAX_EVIDENCE = 50;

/** An explanation in protobuf. */
export function fromExplanation({
  subject,
  state,
  reasons,
}: Explanation): MessageInitShape<typeof ExplanationSchema> {
  return {
    subject,
    state,
    reasons: reasons.slice(0, MAX_REASONS).map(({ code, summary, since, evidence, remedy }) => ({
      code,
      summary: bounded(summary),
      ...(since ? { since: timestampFromDate(since) } : {}),
      evidence: evidence.slice(0, MAX_EVIDENCE).map(({ key, value, source, ageMs }) => ({
        key: bounded(key),
        // The end of an output shows why the process ended.
        value: key === "log_tail" ? boundedEnd(value) : bounded(value),
        source,
        ...(ageMs === undefined ? {} : { age: durationFromMs(Math.max(0, Math.round(ageMs))) }),
      })),
      remedy: bounded(remedy),
    })),
  };
}

/** The beginning of a long text, and how much of it is left out. */
function bounded(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  return `${text.slice(0, MAX_TEXT).toWellFormed()}... (${text.length - MAX_TEXT} more characters)`;
}

/** The end of a long text, and how much of it is left out. */
function boundedEnd(text: string): string {
  if (text.length <= MAX_TEXT) return text;
  return `(${text.length - MAX_TEXT} earlier characters) ...${text.slice(-MAX_TEXT).toWellFormed()}`;
}
