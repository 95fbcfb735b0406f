import assert from "node:assert/strict";
import { test } from "node:test";
import type { Outcome } from "../../domain/tasks/outcome/outcome.ts";
import type { AttemptRow, EndedSession } from "../../store/store.ts";
import { decideTermination } from "./termination-reasons.ts";

const SESSION: EndedSession = {
  workerId: "w",
  fatal: undefined,
  held: [],
  takenAlive: false,
  disconnected: true,
  lossesBefore: 0,
};

/** What the policies are asked to decide on for an attempt of the session. */
function outcomeOf(reason: string, session: Partial<EndedSession>): Outcome {
  const outcomes: Outcome[] = [];
  const decide = decideTermination(
    {
      decide: (_, outcome) => {
        outcomes.push(outcome);
        return { kind: "requeue" } as ReturnType<ReturnType<typeof decideTermination>>;
      },
    },
    reason,
  );
  decide({ taskId: 1, epoch: 1 } as AttemptRow, { ...SESSION, ...session });
  const [outcome] = outcomes;
  assert.ok(outcome);
  return outcome;
}

test("a lost session costs its attempts one, unless an operator had asked for the end of its process", () => {
  assert.equal(outcomeOf("lost", {}).kind, "lost");
  assert.deepEqual(outcomeOf("lost", { killRequested: true }), { kind: "released", reason: "drain" });
  assert.equal(outcomeOf("fatal", { killRequested: true }).kind, "lost");
});
