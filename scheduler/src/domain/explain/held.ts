import type { RunningRecord, SeenAttempt } from "../workers/worker.ts";
import type { FleetMember } from "./fleet.ts";
import { agree, type Evidence, plural, span } from "./reason.ts";

/**
 * How an attempt stands at its worker. `unnamed`: accepted, and a later heartbeat leaves it out; `taken`: accepted since
 * the last heartbeat.
 */
type Standing = "running" | "taken" | "unnamed" | "unaccepted" | "committing";

/** An attempt that a worker holds, by the scheduler that assigned it and by the worker's last heartbeat. */
export interface Held {
  readonly attemptId: string;
  readonly standing: Standing;
  readonly phase: string;
  readonly phaseAgeMs: number;
  /** Since it started, was accepted or was assigned, whichever came last. */
  readonly ageMs: number;
  /** The heartbeat names it. */
  readonly named: boolean;
}

/** Attempts named in the evidence. */
const MAX_NAMED = 20;

/** What the worker holds, the oldest first; without what was revoked and lingers. @param beatAgeMs Age of its last heartbeat. */
export function heldBy({ held, record }: FleetMember, beatAgeMs: number): Held[] {
  const named = new Map(record.heartbeat?.running.map((running) => [running.attemptId, running]));
  return held
    .filter(({ revoked }) => !revoked)
    .map((attempt) =>
      standing(attempt, named.get(attempt.attemptId), beatAgeMs, record.heartbeat !== undefined),
    )
    .sort((a, b) => b.ageMs - a.ageMs);
}

function standing(
  attempt: SeenAttempt,
  named: RunningRecord | undefined,
  beatAgeMs: number,
  hasBeaten: boolean,
): Held {
  const { attemptId, stage, ageMs, resultPending } = attempt;
  const phase = attempt.phase || named?.phase || "";
  const phaseAgeMs = attempt.phase || !named?.phase ? attempt.phaseAgeMs : named.phaseAgeMs + beatAgeMs;
  const base = { attemptId, phase, phaseAgeMs, ageMs, named: named !== undefined };
  if (resultPending || named?.resultPending) return { ...base, standing: "committing" };
  if (named || stage === undefined) return { ...base, standing: "running" };
  if (stage === "assigned") return { ...base, standing: "unaccepted" };
  if (hasBeaten && ageMs > beatAgeMs) return { ...base, standing: "unnamed" };
  return { ...base, standing: stage === "started" ? "running" : "taken" };
}

/** `it runs 2 attempts in 4 slots`, or what else they are. */
export function holds(held: readonly Held[], count: number, slots: number): string {
  const of = (wanted: Standing) => held.filter((attempt) => attempt.standing === wanted);
  const [unnamed, unaccepted] = [of("unnamed"), of("unaccepted")];
  const [taken, committing] = [of("taken").length, of("committing").length];
  const others = unnamed.length + unaccepted.length + taken + committing;
  if (others === 0) return `it runs ${plural(count, "attempt")} in ${plural(slots, "slot")}`;
  const running = count - others;
  const parts = [
    ...(running > 0 ? [`${running} ${agree(running, ["runs", "run"])}`] : []),
    ...oldestOf(unnamed, (first, age) => `accepted ${first} ${age} ago, which its heartbeats do not name`),
    ...oldestOf(unaccepted, (first, age) => `was assigned ${first} ${age} ago and has not accepted it`),
    ...(taken > 0 ? [`accepted ${taken} since its last heartbeat`] : []),
    ...(committing > 0
      ? [
          `has returned ${committing} whose ${agree(committing, ["result is", "results are"])} not committed yet`,
        ]
      : []),
  ];
  return `it holds ${plural(count, "attempt")} in ${plural(slots, "slot")}: ${parts.join("; ")}`;
}

function oldestOf(attempts: readonly Held[], word: (first: string, age: string) => string): string[] {
  const [first] = attempts;
  if (!first) return [];
  const more = attempts.length > 1 ? ` (and ${attempts.length - 1} more)` : "";
  return [`${word(first.attemptId, span(first.ageMs))}${more}`];
}

/** A fact for each of them. @param beatAgeMs Age of the heartbeat. */
export function heldEvidence(held: readonly Held[], beatAgeMs: number): Evidence[] {
  return held.slice(0, MAX_NAMED).map((attempt) => {
    const value = describe(attempt);
    if (attempt.named) return { key: "attempt", value, source: "heartbeat", ageMs: beatAgeMs };
    return { key: "attempt", value, source: "matcher" };
  });
}

function describe({ attemptId, standing: how, phase, phaseAgeMs, ageMs }: Held): string {
  const where = phase ? ` in ${phase}` : "";
  switch (how) {
    case "running":
      return `${attemptId}${where} for ${span(phase ? phaseAgeMs : ageMs)}`;
    case "committing":
      return `${attemptId}, whose result is not committed yet`;
    case "taken":
      return `${attemptId}, accepted ${span(ageMs)} ago`;
    case "unnamed":
      return `${attemptId}, accepted ${span(ageMs)} ago; its heartbeats do not name it`;
    case "unaccepted":
      return `${attemptId}, assigned ${span(ageMs)} ago and not accepted`;
    default:
      return how satisfies never;
  }
}

/** `t-7.1 in inference`, the one that has been there for longest. */
export function oldestHeld(held: readonly Held[]): string {
  const [first] = held;
  return first ? `${first.attemptId}${first.phase ? ` in ${first.phase}` : ""}` : "unknown";
}
