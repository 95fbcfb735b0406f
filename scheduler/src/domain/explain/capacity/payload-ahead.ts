/** `ALL_SLOTS_BUSY` where workers have as much payload ahead as they take. */
import type { PayloadShortage } from "../../matching/match.ts";
import type { FleetMember } from "../fleet.ts";
import { type Evidence, plural, type Reason } from "../reason.ts";

/** Workers that are named in the evidence. */
const MAX_NAMED = 10;

export function isFullOfBytes({ candidate }: FleetMember): boolean {
  return candidate.fullOfBytes !== undefined;
}

/** Each worker that has slots free has so much payload ahead that it is assigned no more for now. */
export function payloadAhead(
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason {
  const [first] = members;
  const more = members.length > 1 ? `; likewise ${plural(members.length - 1, "more worker")}` : "";
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `${first ? inWords(first) : "its workers"}${more}`,
    since,
    evidence,
    remedy: `it starts when a worker has called further handlers; to start it earlier, start another worker, or raise assignmentBytes of ${first?.candidate.workerId ?? "one"}`,
  };
}

/** The workers with that much payload ahead, each with its bytes. */
export function payloadEvidence(members: readonly FleetMember[]): Evidence[] {
  return members
    .slice(0, MAX_NAMED)
    .map((member) => ({ key: "payload_ahead", value: inWords(member), source: "matcher" }));
}

/** What the worker has ahead, as a clause with it as the subject. */
export function payloadInWords(subject: string, { bytes, nextBytes, maxBytes }: PayloadShortage): string {
  return `${subject} has ${bytes} bytes of payload for handlers that it has not called, and ${nextBytes} more would exceed its limit of ${maxBytes}`;
}

function inWords({ candidate: { workerId, fullOfBytes } }: FleetMember): string {
  return fullOfBytes ? payloadInWords(workerId, fullOfBytes) : workerId;
}
