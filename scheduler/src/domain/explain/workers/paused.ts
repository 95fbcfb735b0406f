/** Explains paused workers: who paused them, why and since when. */
import { ownPauseReason } from "../../workers/operator-pause.ts";
import type { PressureRecord } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, type Evidence, plural, type Reason, span } from "../reason.ts";
import { list } from "../removed.ts";

/** Workers that are named in the evidence. */
const MAX_NAMED = 20;

const PRESSURE = "check what uses its memory or CPU; it takes work again by itself when the reason is gone";

const PROBE =
  "check what its probe names and what uses its memory or CPU; it takes work again by itself when the reason is gone";

/** `PAUSED`: one reason for the operator who paused it, one for the worker itself. @param more What follows the reason. */
export function paused(
  member: FleetMember,
  { now, more, evidence }: { now: Date; more: string; evidence: readonly Evidence[] },
): Reason[] {
  const { record, ageMs, candidate } = member;
  const { operatorPause, heartbeat } = record;
  const own = ownReason(member);
  const reasons: Reason[] = [];
  if (operatorPause) {
    reasons.push({
      code: "PAUSED",
      summary: `an operator paused it ${span(now.getTime() - operatorPause.since.getTime())} ago: ${operatorPause.reason}${more}`,
      since: operatorPause.since,
      evidence: [
        { key: "operator_pause", value: operatorPause.reason, source: "database" },
        ...(own === undefined ? evidence : []),
      ],
      remedy: `run \`muster worker resume ${candidate.workerId}\` when the reason is gone`,
    });
  }
  if (own !== undefined) {
    const pressures = heartbeat?.pressures ?? [];
    const longestMs = pressures.length === 0 ? undefined : Math.max(...pressures.map((each) => each.ageMs));
    reasons.push({
      code: "PAUSED",
      summary: `${longestMs === undefined ? "it asks for no new work" : `it has asked for no new work for ${span(longestMs + ageMs)}`}: ${own}${more}`,
      since: longestMs === undefined ? undefined : new Date(now.getTime() - longestMs - ageMs),
      evidence: [
        { key: "pause_reason", value: own, source: "heartbeat", ageMs },
        ...pressures.map((each) => measured(each, "", ageMs)),
        ...evidence,
      ],
      remedy: pressures.some(({ measure }) => measure === "probe") ? PROBE : PRESSURE,
    });
  }
  return reasons;
}

/** `WORKERS_PAUSED`: workers could run a task and take no new work. */
export function workersPaused(
  members: readonly FleetMember[],
  { evidence, since, now }: { evidence: readonly Evidence[]; since: Date; now: Date },
): Reason {
  const why = members.map((member) => `${member.candidate.workerId}: ${member.candidate.pauseReason}`);
  const byOperator = members.filter(({ record }) => record.operatorPause !== undefined);
  return {
    code: "WORKERS_PAUSED",
    summary: `${plural(members.length, "worker")} could run it but ${agree(members.length, ["takes", "take"])} no new work now (${list(why)})`,
    since,
    evidence: [...evidence, ...members.slice(0, MAX_NAMED).flatMap((member) => causes(member, now))],
    remedy: [
      ...byOperator
        .slice(0, 1)
        .map(({ candidate }) => `run \`muster worker resume ${candidate.workerId}\` when the reason is gone`),
      ...(byOperator.length < members.length
        ? [
            "check what uses their memory or CPU, or start another worker; they take work again by themselves when the pressure is gone",
          ]
        : []),
    ].join("; "),
  };
}

function causes(member: FleetMember, now: Date): Evidence[] {
  const { operatorPause, heartbeat } = member.record;
  const { workerId } = member.candidate;
  const own = ownReason(member);
  const { ageMs } = member;
  return [
    ...(operatorPause
      ? [
          {
            key: "paused_by_operator",
            value: `${workerId}: ${operatorPause.reason}, ${span(now.getTime() - operatorPause.since.getTime())} ago`,
            source: "database",
          },
        ]
      : []),
    ...(own === undefined
      ? []
      : [
          { key: "paused", value: `${workerId}: ${own}`, source: "heartbeat", ageMs },
          ...(heartbeat?.pressures ?? []).map((each) => measured(each, `${workerId}: `, ageMs)),
        ]),
  ];
}

/** Which measure, its value, both watermarks, since when. */
function measured(
  { measure, value, high, low, ageMs: pausedMs }: PressureRecord,
  prefix: string,
  ageMs: number,
): Evidence {
  const numbers = measure === "probe" ? "" : ` ${round(value)}, high ${round(high)}, low ${round(low)},`;
  return {
    key: "pressure",
    value: `${prefix}${measure}${numbers} for ${span(pausedMs + ageMs)}`,
    source: "heartbeat",
    ageMs,
  };
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}

function ownReason({ record, candidate }: FleetMember): string | undefined {
  const { operatorPause, heartbeat } = record;
  return operatorPause ? ownPauseReason(heartbeat, operatorPause) : candidate.pauseReason;
}
