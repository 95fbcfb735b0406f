/** Explains quarantined workers: what they failed, what their peers failed, and when they are probed. */
import { type QuarantineRecord, quarantineInWords } from "../../workers/quarantine.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, type Evidence, IS, plural, type Reason, span } from "../reason.ts";
import { list } from "../removed.ts";

/** Workers that are named in the evidence of a task. */
const MAX_NAMED = 5;

/** `QUARANTINED`: the worker failed far more often than its peers and is assigned single probes. */
export function quarantined(record: QuarantineRecord, member: FleetMember, now: Date): Reason {
  const { since, failedProbes, probeTime, errors, peers } = record;
  const { workerId } = member.candidate;
  const probes = failedProbes > 0 ? `; ${plural(failedProbes, "probe")} failed` : "";
  return {
    code: "QUARANTINED",
    summary: `${quarantineInWords(record)}, so it is assigned one attempt at a time as a probe${probes}; ${nextProbe(member, probeTime, now)}`,
    since,
    evidence: [
      ...peers.map(({ workerId: peer, failed, finished }) => ({
        key: "peer",
        value: `${peer}: ${failed} of ${finished} failed`,
        source: "matcher",
        ageMs: Math.max(0, now.getTime() - since.getTime()),
      })),
      ...errors.map(failure),
      { key: "failed_probes", value: String(failedProbes), source: "database" },
      { key: "probe_time", value: probeTime.toISOString(), source: "database" },
    ],
    remedy: `check the log and the machine of ${workerId}; it takes tasks again by itself when a probe succeeds; to end the quarantine now, run \`muster worker release ${workerId}\``,
  };
}

/** `QUARANTINED`: workers that could run a task are quarantined. */
export function workersQuarantined(
  members: readonly FleetMember[],
  { evidence, since, now }: { evidence: readonly Evidence[]; since: Date; now: Date },
): Reason {
  const known = members.flatMap(({ candidate, record }) =>
    record.quarantine ? [{ workerId: candidate.workerId, quarantine: record.quarantine }] : [],
  );
  const why = known.map(({ workerId, quarantine }) => `${workerId}: ${quarantineInWords(quarantine)}`);
  return {
    code: "QUARANTINED",
    summary: `${plural(members.length, "worker")} that could run it ${agree(members.length, IS)} quarantined (${list(why)})`,
    since,
    evidence: [
      ...evidence,
      ...known.slice(0, MAX_NAMED).flatMap(({ workerId, quarantine: { since: from, probeTime, errors } }) => [
        {
          key: "quarantined",
          value: `${workerId} for ${span(now.getTime() - from.getTime())}, next probe at ${probeTime.toISOString()}`,
          source: "database",
        },
        ...errors.slice(-1).map(failure),
      ]),
    ],
    remedy: `wait for a place on another worker, or start one; run \`muster why ${members[0]?.candidate.workerId}\` for what fails there`,
  };
}

function failure({ attemptId, code, message }: QuarantineRecord["errors"][number]): Evidence {
  return { key: "last_error", value: `${attemptId}: ${code}: ${message}`, source: "database" };
}

function nextProbe({ held }: FleetMember, probeTime: Date, now: Date): string {
  const leftMs = probeTime.getTime() - now.getTime();
  if (leftMs > 0) return `the next probe is due in ${span(leftMs)}`;
  return held.length > 0
    ? `it holds ${plural(held.length, "attempt")}, and is assigned the next one when it holds none`
    : "its next probe is the next task that it can run";
}
