import { processEvidence, processOf } from "./assigned.ts";
import type { FleetMember } from "./fleet.ts";
import { plural, type Reason, span } from "./reason.ts";

/** Attempts named in the evidence. */
const MAX_NAMED = 20;

/** `REVOKED_RUNNING`: attempts that are no longer the worker's hold its slots, because their handlers have not returned. */
export function revokedRunning(member: FleetMember, now: Date): Reason[] {
  const revoked = member.held.flatMap((attempt) =>
    attempt.revoked ? [{ attemptId: attempt.attemptId, type: attempt.type, ...attempt.revoked }] : [],
  );
  const [oldest] = revoked.toSorted((a, b) => b.forMs - a.forMs);
  if (!oldest) return [];
  const one = revoked.length === 1;
  return [
    {
      code: "REVOKED_RUNNING",
      summary: `${plural(revoked.length, "slot")} ${one ? "is" : "are"} held by ${one ? "the handler of an attempt that was" : "handlers of attempts that were"} revoked and ${one ? "has" : "have"} not returned: ${oldest.attemptId}, revoked ${span(oldest.forMs)} ago (${oldest.reason})`,
      since: new Date(now.getTime() - oldest.forMs),
      evidence: [
        ...revoked.slice(0, MAX_NAMED).map(({ attemptId, type, forMs, reason }) => ({
          key: "revoked",
          value: `${attemptId}${type ? ` (${type})` : ""} ${span(forMs)} ago: ${reason}`,
          source: "heartbeat",
          ageMs: member.ageMs,
        })),
        ...processEvidence(member),
      ],
      remedy: `a slot is free when its handler looks at ctx.signal or returns; what it returns is not kept. To free it now stop the process${processOf(member)}: what else it holds goes to other workers (muster drain ${member.candidate.workerId} first lets that end)`,
    },
  ];
}
