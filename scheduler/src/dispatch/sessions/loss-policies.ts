/** Decides for attempts whose session ended: their failures have the facts that their handlers had reported here. */
import { type Outcome, type OutcomeDecision, withFacts } from "../../domain/tasks/outcome.ts";
import type { AttemptRow } from "../../store/store.ts";
import type { RetryPolicies } from "../attempts/retry-policies.ts";
import type { Registry } from "./registry.ts";

/** Decides for an attempt as the store has it. */
export interface LossPolicies {
  decide(row: AttemptRow, outcome: Outcome): OutcomeDecision;
}

/** @param registry The sessions of this scheduler: what was reported to others is not known. */
export function lossPolicies(
  policies: Pick<RetryPolicies, "decide">,
  registry: Pick<Registry, "byId">,
): LossPolicies {
  return {
    decide: (row, outcome) => {
      const attempt = registry.byId(row.sessionId)?.attempts.get(row.taskId);
      return policies.decide(row, attempt?.epoch === row.epoch ? withFacts(outcome, attempt.facts) : outcome);
    },
  };
}
