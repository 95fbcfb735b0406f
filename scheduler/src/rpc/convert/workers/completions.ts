/** What a worker has completed, in protobuf. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { WorkerCompletionsSchema } from "@muster/protocol";
import { type CompletionFacts, recentCount } from "../../../domain/workers/completions.ts";
import { durationFromMs } from "../values/time.ts";

/** @param ageMs How old the facts are; they may be of a moment later than now. */
export function fromCompletions(
  facts: CompletionFacts,
  ageMs: number,
): MessageInitShape<typeof WorkerCompletionsSchema> {
  const age = Math.max(0, ageMs);
  return {
    completedCount: BigInt(facts.total),
    recentCompletedCount: BigInt(recentCount(facts, age)),
    age: durationFromMs(age),
    ...(facts.idleMs === undefined ? {} : { idleAge: durationFromMs(facts.idleMs + age) }),
  };
}
