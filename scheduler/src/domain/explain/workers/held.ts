/** The attempts of a worker and their states, in words. */
import type { RunningRecord, SeenAttempt } from "../../workers/worker.ts";
import type { FleetMember } from "../fleet.ts";
import { agree, type Evidence, plural, span } from "../reason.ts";

/**
 * State of an attempt at its worker. `waiting`: its handler waits without its slots; `unlisted`: accepted, and a later heartbeat does not list it; `taken`: accepted
 * since the last heartbeat.
 */
type HeldState = "running" | "waiting" | "taken" | "unlisted" | "unaccepted" | "committing";

/** An attempt that a worker holds, by the scheduler that assigned it and by the worker's last heartbeat. */
export interface Held {
  readonly attemptId: string;
  readonly state: HeldState;
  readonly phase: string;
  readonly phaseAgeMs: number;
  /** Since it started, was accepted or was assigned, whichever came last. */
  readonly ageMs: number;
  /** The heartbeat lists it. */
  readonly listed: boolean;
}

/** Attempts named in the evidence. */
const MAX_NAMED = 20;

/** Attempts that the worker holds, the oldest first; without revoked ones. @param beatAgeMs Age of its last heartbeat. */
export function heldBy({ held, record }: FleetMember, beatAgeMs: number): Held[] {
  const listed = new Map(record.heartbeat?.running.map((running) => [running.attemptId, running]));
  return held
    .filter(({ revoked }) => !revoked)
    .map((attempt) =>
      heldState(attempt, listed.get(attempt.attemptId), beatAgeMs, record.heartbeat !== undefined),
    )
    .sort((a, b) => b.ageMs - a.ageMs);
}

function heldState(
  attempt: SeenAttempt,
  listed: RunningRecord | undefined,
  beatAgeMs: number,
  hasHeartbeat: boolean,
): Held {
  const { attemptId, stage, ageMs, resultPending } = attempt;
  const phase = attempt.phase || listed?.phase || "";
  const phaseAgeMs = attempt.phase || !listed?.phase ? attempt.phaseAgeMs : listed.phaseAgeMs + beatAgeMs;
  const base = { attemptId, phase, phaseAgeMs, ageMs, listed: listed !== undefined };
  if (resultPending || listed?.resultPending) return { ...base, state: "committing" };
  const release = attempt.slotRelease ?? listed?.slotRelease;
  if (release && !release.returning) return { ...base, ageMs: release.ageMs, state: "waiting" };
  if (listed || stage === undefined) return { ...base, state: "running" };
  if (stage === "assigned") return { ...base, state: "unaccepted" };
  if (hasHeartbeat && ageMs > beatAgeMs) return { ...base, state: "unlisted" };
  return { ...base, state: stage === "started" ? "running" : "taken" };
}

/** `it runs 2 attempts in 4 slots`, or the state of each group of them. */
export function holds(held: readonly Held[], count: number, slots: number): string {
  const of = (wanted: HeldState) => held.filter((attempt) => attempt.state === wanted);
  const [unlisted, unaccepted] = [of("unlisted"), of("unaccepted")];
  const [taken, committing, waiting] = [of("taken").length, of("committing").length, of("waiting").length];
  const others = unlisted.length + unaccepted.length + taken + committing + waiting;
  if (others === 0) return `it runs ${plural(count, "attempt")} in ${plural(slots, "slot")}`;
  const running = count - others;
  const parts = [
    ...(running > 0 ? [`${running} ${agree(running, ["runs", "run"])}`] : []),
    ...(waiting > 0
      ? [`${waiting} ${agree(waiting, ["waits without its slots", "wait without their slots"])}`]
      : []),
    ...oldestOf(unlisted, (first, age) => `accepted ${first} ${age} ago, which its heartbeats do not list`),
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

/** A fact for each attempt. @param beatAgeMs Age of the heartbeat. */
export function heldEvidence(held: readonly Held[], beatAgeMs: number): Evidence[] {
  return held.slice(0, MAX_NAMED).map((attempt) => {
    const value = describe(attempt);
    if (attempt.listed) return { key: "attempt", value, source: "heartbeat", ageMs: beatAgeMs };
    return { key: "attempt", value, source: "matcher" };
  });
}

function describe({ attemptId, state, phase, phaseAgeMs, ageMs }: Held): string {
  const where = phase ? ` in ${phase}` : "";
  switch (state) {
    case "running":
      return `${attemptId}${where} for ${span(phase ? phaseAgeMs : ageMs)}`;
    case "waiting":
      return `${attemptId}${where}, which has waited without its slots for ${span(ageMs)}`;
    case "committing":
      return `${attemptId}, whose result is not committed yet`;
    case "taken":
      return `${attemptId}, accepted ${span(ageMs)} ago`;
    case "unlisted":
      return `${attemptId}, accepted ${span(ageMs)} ago; its heartbeats do not list it`;
    case "unaccepted":
      return `${attemptId}, assigned ${span(ageMs)} ago and not accepted`;
    default:
      return state satisfies never;
  }
}

/** `t-7.1 in inference`, the oldest attempt. */
export function oldestHeld(held: readonly Held[]): string {
  const [first] = held;
  return first ? `${first.attemptId}${first.phase ? ` in ${first.phase}` : ""}` : "unknown";
}
