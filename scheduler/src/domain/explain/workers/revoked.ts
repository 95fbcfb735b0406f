/** `REVOKED_RUNNING`: handlers of revoked attempts hold slots. */
import { processEvidence, processOf } from "../assigned/assigned.ts";
import type { FleetMember } from "../fleet.ts";
import { plural, type Reason, span } from "../reason.ts";

/** Attempts named in the evidence. */
const MAX_NAMED = 20;

/** `REVOKED_RUNNING`: handlers of revoked attempts have not returned and hold slots. */
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
      summary: `${plural(revoked.length, "slot")} ${one ? "is" : "are"} held by ${one ? "the handler of a revoked attempt, which has" : "handlers of revoked attempts, which have"} not returned; the oldest is ${oldest.attemptId}, revoked ${span(oldest.forMs)} ago (${oldest.reason})`,
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
      remedy: `the slot is free when the handler observes ctx.signal or returns; its result is discarded. To free the slot now, stop the process${processOf(member)}: its other attempts are requeued (run \`muster drain ${member.candidate.workerId}\` first to let them finish)`,
    },
  ];
}
