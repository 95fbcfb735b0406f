/** Reasons of waiting tasks: busy slots, starting workers, labels. */

import { closestNames } from "@muster/common/text/closest-names";
import type { TaskClass } from "../../matching/match.ts";
import { adaptiveInWords } from "../../workers/adaptive-limit.ts";
import type { EarlierStart } from "../../workers/startup-history.ts";
import { processEvidence, processOf } from "../assigned/assigned.ts";
import { isFullOfBytes, payloadAhead, payloadEvidence } from "../capacity/payload-ahead.ts";
import { keepsRoom, keptEvidence, roomKept } from "../capacity/room-kept.ts";
import { shortCapacity } from "../capacity/short-capacity.ts";
import { type FleetMember, names } from "../fleet.ts";
import type { WithheldModes } from "../not-acting.ts";
import { agree, type Evidence, HAS, IS, plural, type Reason, span } from "../reason.ts";
import { list } from "../removed.ts";
import { usualOfWorker } from "../workers/usual-startup.ts";
import { turnEvidence, turnInWords } from "./turn.ts";
import type { WaitingFacts } from "./waiting-facts.ts";

/** `ALL_SLOTS_BUSY`: every slot that matches is taken; has the attempts that hold them, the oldest first. */
export function allBusy(
  { taskClass, turn, now }: Pick<WaitingFacts, "taskClass" | "turn" | "now">,
  members: readonly FleetMember[],
  given: readonly Evidence[],
  since: Date,
): Reason {
  const keeping = members.filter(({ candidate }) => keepsRoom(taskClass, candidate));
  const full = members.filter((member) => isFullOfBytes(member) && !keeping.includes(member));
  const evidence = [...given, ...keptEvidence(keeping), ...payloadEvidence(full)];
  if (keeping.length === members.length) return roomKept(taskClass, keeping, evidence, since);
  const busy = members.filter((member) => !keeping.includes(member) && !full.includes(member));
  if (busy.length === 0) return payloadAhead(full, evidence, since);
  const short = taskClass.requirements.cost && shortCapacity(taskClass, busy, evidence, since);
  if (short) return short;
  const held = busy
    .flatMap((member) => member.held.map((attempt) => ({ ...attempt, member })))
    .sort((a, b) => b.ageMs - a.ageMs);
  const [oldest] = held;
  // The concurrency limit of the type may be reached while slots are free.
  const limits = busy.flatMap(({ candidate }) => {
    const limit = candidate.types.get(taskClass.type)?.limit ?? Number.POSITIVE_INFINITY;
    return Number.isFinite(limit) ? [limit] : [];
  });
  const byType = limits.length === busy.length && busy.every(({ candidate }) => candidate.credit > 0);
  const places = byType
    ? limits.reduce((sum, limit) => sum + limit, 0)
    : busy.reduce((sum, { record }) => sum + (record.heartbeat?.slots ?? record.hello.slots), 0);
  const adapting = busy.flatMap(({ candidate, ageMs }) => {
    const adaptive = candidate.types.get(taskClass.type)?.adaptive;
    return adaptive ? [{ words: `${candidate.workerId}: ${adaptiveInWords(adaptive, ageMs)}`, ageMs }] : [];
  });
  const workers = plural(busy.length, "eligible worker");
  const taken = byType
    ? `${workers} ${agree(busy.length, ["runs", "run"])} as many ${taskClass.type} tasks as ${agree(busy.length, ["its", "their"])} concurrency allows (${places})`
    : `${places === 1 ? "the only slot" : `all ${places} slots`} of ${workers} ${agree(places, IS)} busy`;
  const word = (attempt: (typeof held)[number]) =>
    attempt.revoked
      ? `the handler of ${attempt.attemptId}${attempt.type ? ` (${attempt.type})` : ""} on ${attempt.member.candidate.workerId}, revoked ${span(attempt.revoked.forMs)} ago (${attempt.revoked.reason}), which has not returned`
      : `${attempt.attemptId}${attempt.type ? ` (${attempt.type})` : ""} on ${attempt.member.candidate.workerId} for ${span(attempt.ageMs)}${attempt.phase ? `, in ${attempt.phase} for ${span(attempt.phaseAgeMs)}` : ""}`;
  return {
    code: "ALL_SLOTS_BUSY",
    summary: `${taken}${adaptingWords(adapting)}${oldest ? `; held longest by ${word(oldest)}` : ""}${turn ? turnInWords(turn, now) : ""}`,
    since,
    evidence: [
      ...evidence,
      ...adapting.slice(0, MAX_ADAPTING).map(({ words, ageMs }) => ({
        ...{ key: "adaptive_limit", value: words, source: "heartbeat", ageMs },
      })),
      ...(turn ? turnEvidence(turn) : []),
      ...held.slice(0, 10).map((attempt) => ({
        key: "busy_with",
        value: word(attempt),
        source: attempt.member.elsewhere ? "database" : "matcher",
        ...(attempt.member.elsewhere ? { ageMs: attempt.member.ageMs } : {}),
      })),
      ...(held.length > 10
        ? [{ key: "busy_with", value: `${held.length - 10} more`, source: "matcher" }]
        : []),
      ...(oldest?.revoked ? processEvidence(oldest.member) : []),
    ],
    remedy: `it starts when a slot is free and its turn has come; to start it earlier, start another worker${adapting.length > 0 && byType ? " (limits that adapt rise while attempts neither fail nor are slow, up to their `max`)" : " or raise WORKER_MAX_CONCURRENCY"}; do this also if one of these handlers waits for the result of this task, because it never frees its slot${oldest ? moreOf(oldest.revoked !== undefined, oldest.attemptId, oldest.member) : ""}`,
  };
}

/** Limits that are named in the evidence. */
const MAX_ADAPTING = 10;

/** The limits that their workers adapt; empty when there are none. */
function adaptingWords(adapting: readonly { readonly words: string }[]): string {
  const [first] = adapting;
  if (!first) return "";
  const more = adapting.length > 1 ? ` (and ${adapting.length - 1} more)` : "";
  return `; the limit is adaptive, at ${first.words}${more}`;
}

function moreOf(revoked: boolean, attemptId: string, member: FleetMember): string {
  return revoked
    ? `; to free the slot of the revoked attempt now, stop the process of ${member.candidate.workerId}${processOf(member)}`
    : `; run \`muster why ${attemptId.split(".")[0]}\` to see whether the oldest one makes progress`;
}

/** Facts that the causes share. */
export interface CauseContext {
  readonly evidence: readonly Evidence[];
  readonly since: Date;
  readonly now: Date;
  /** No worker passed more filters; else these are further workers that would do. */
  readonly first: boolean;
  /** Mechanisms whose modes keep them from acting. */
  readonly withheld?: WithheldModes | undefined;
  /** Earlier starts of workers that are starting, newest first; absent where they are not read. */
  readonly earlier?: readonly EarlierStart[] | undefined;
}

/** `WORKERS_STARTING` or `WORKER_SUSPECT`: the eligible workers are starting, or do not answer. */
export function starting(
  members: readonly FleetMember[],
  { evidence, since, now, first, withheld, earlier = [] }: CauseContext,
): Reason {
  const suspect = members.filter(({ state }) => state === "suspect");
  const age = (at: Date | undefined) => (at ? span(now.getTime() - at.getTime()) : "an unknown time");
  if (suspect.length === members.length) {
    const one = suspect.length === 1;
    const left = suspect[0]?.graceLeftMs;
    return {
      code: "WORKER_SUSPECT",
      summary: `${first ? `the ${suspect.length === 1 ? "worker" : "workers"}` : plural(suspect.length, "more worker")} that could run it ${agree(suspect.length, ["does", "do"])} not answer: ${names(suspect)}; last heartbeat ${age(suspect[0]?.record.heartbeatTime)} ago`,
      since,
      evidence,
      remedy: `wait${withheld?.recovery ? ` until ${one ? "it reconnects" : "they reconnect"}` : `: ${one ? "it reconnects, or its" : "they reconnect, or their"} attempts are requeued ${left === undefined ? "when the grace is over" : `in ${span(left)}`}`}; start another worker if it lasts; run \`muster why ${suspect[0]?.candidate.workerId}\` for the cause`,
    };
  }
  const phases = members.map(({ record, state }) => {
    const last = record.phases.at(-1);
    const usual = usualOfWorker(record, now, earlier);
    return `${record.workerId} ${state === "suspect" ? "does not answer" : `is in ${last?.phase ?? "an unknown phase"}, connected ${age(record.connectTime)} ago${usual && `, ${usual}`}`}`;
  });
  return {
    code: "WORKERS_STARTING",
    summary: `${plural(members.length, "worker")} that could run it ${agree(members.length, IS)} starting: ${list(phases)}`,
    since,
    evidence,
    remedy: `it is assigned when one of them is ready; if a phase does not change, run \`muster why ${members[0]?.candidate.workerId}\``,
  };
}

/** `NO_WORKER_MATCHES_LABELS`: workers match except for a label; has the values that they have. */
export function noLabels(
  taskId: number,
  { type, queue, requirements }: TaskClass,
  members: readonly FleetMember[],
  evidence: readonly Evidence[],
  since: Date,
): Reason {
  const wanted = Object.entries(requirements.labels);
  const missing = wanted.filter(([name, value]) =>
    members.every(({ candidate }) => candidate.labels[name] !== value),
  );
  const [name = "", value = ""] = missing[0] ?? wanted[0] ?? [];
  const have = members.flatMap(({ candidate }) => candidate.labels[name] ?? []);
  const counts = Map.groupBy(have, (each) => each);
  const others = [...counts].map(([each, same]) => `${each} (${plural(same.length, "worker")})`);
  // A key that differs in case, a plural or a separator is another label; so is a value.
  const keys = new Set(members.flatMap(({ candidate }) => Object.keys(candidate.labels)));
  const nearKeys = closestNames(name, keys);
  const meant = [
    ...closestNames(value, counts.keys()).map((each) => `${name}=${each}`),
    ...nearKeys.flatMap((key) => nearValues(value, key, members).map((each) => `${key}=${each}`)),
  ];
  const near = meant.length > 0 ? meant : nearKeys;
  const single = missing.length > 0 || wanted.length === 1;
  return {
    code: "NO_WORKER_MATCHES_LABELS",
    summary: single
      ? `no worker that can run ${type} from ${queue} has the label ${name}=${value}: of ${plural(members.length, "worker")}, ${others.length > 0 ? `${have.length} ${agree(have.length, HAS)} ${name}, with ${list(others)}` : `none has ${name}`}${didYouMean(near)}`
      : `no worker that can run ${type} from ${queue} has all of the labels ${wanted.map(([key, each]) => `${key}=${each}`).join(", ")}: each is on some of ${plural(members.length, "worker")}, together on none`,
    since,
    evidence: [
      ...evidence,
      ...wanted.map(([key, each]) => ({
        key: "label",
        value: `${key}=${each}: on ${plural(members.filter(({ candidate }) => candidate.labels[key] === each).length, "worker")}`,
        source: "matcher",
      })),
      ...others.slice(0, 10).map((each) => ({ key: `workers_with_${name}`, value: each, source: "matcher" })),
      ...near.map((value) => ({ key: "nearest_label", value, source: "matcher" })),
    ],
    remedy: `start a worker with ${wanted.length === 1 ? "the label" : "the labels"} ${wanted.map(([key, each]) => `${key}=${each}`).join(", ")} (option labels); if a label is a mistake, run \`muster cancel t-${taskId}\` and submit the task ${meant.length > 0 && single ? `with ${meant[0]}` : "without it"}`,
  };
}

/** The wanted value where a worker has it under that key, else near ones. */
function nearValues(value: string, key: string, members: readonly FleetMember[]): string[] {
  const values = new Set(members.flatMap(({ candidate }) => candidate.labels[key] ?? []));
  return values.has(value) ? [value] : closestNames(value, values);
}

/** `; did you mean ocr?`, or nothing. */
export function didYouMean(near: readonly string[]): string {
  return near.length > 0 ? `; did you mean ${near.join(" or ")}?` : "";
}
