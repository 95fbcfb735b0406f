/** `ALL_SLOTS_BUSY` where workers have room that they keep for a larger task. */
import { formatTaskId } from "../../ids.ts";
import { costInWords, shortages } from "../../matching/capacity.ts";
import type { KeptRoom } from "../../matching/kept-room.ts";
import type { Candidate, TaskClass } from "../../matching/match.ts";
import type { FleetMember } from "../fleet.ts";
import { type Evidence, plural, type Reason } from "../reason.ts";

/** True when the worker has room for the task: it was removed because it keeps the room for another one. */
export function keepsRoom({ type, requirements }: TaskClass, candidate: Candidate): boolean {
  const counted = candidate.types.get(type);
  if (candidate.keptRoom === undefined || (counted && counted.active >= counted.limit)) return false;
  return shortages(requirements.cost, candidate).length === 0;
}

/** The task that each of these workers keeps room for. */
export function keptEvidence(members: readonly FleetMember[]): Evidence[] {
  return members.flatMap(({ candidate: { workerId, keptRoom } }) =>
    keptRoom ? [{ key: "room_kept", value: `${workerId} for ${inWords(keptRoom)}`, source: "matcher" }] : [],
  );
}

/** All workers that have room keep it for a task that goes first. */
export function roomKept(
  { requirements }: TaskClass,
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason {
  const [first] = members;
  const room = first?.candidate.keptRoom;
  const more =
    members.length > 1
      ? `, and so ${members.length === 2 ? "does" : "do"} ${plural(members.length - 1, "more worker")} for other tasks`
      : "";
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `it costs ${costInWords(requirements.cost)}, and ${first?.candidate.workerId} keeps what it has free for ${room ? inWords(room) : "a larger task"}, which goes first${more}`,
    since,
    evidence,
    remedy: `it starts after that task has started; to start it earlier, start another worker${room ? `; run \`muster why ${formatTaskId(room.id)}\` to see what that task waits for` : ""}`,
  };
}

function inWords({ id, type, cost }: KeptRoom): string {
  return `${formatTaskId(id)} (${type}, ${costInWords(cost)})`;
}
