/** `DISPATCH_DELAYED`: a task waits although a worker can take it. */
import type { FleetMember } from "../fleet.ts";
import { names } from "../fleet.ts";
import { agree, type Evidence, plural, type Reason, span } from "../reason.ts";
import { type TurnFacts, turnEvidence, turnInWords } from "./turn.ts";

/** Liveness of the dispatch loop. Ages are milliseconds; undefined where it is not known. */
export interface DispatchFacts {
  /** Since this scheduler last assigned everything that could be assigned. */
  readonly ranAgeMs: number | undefined;
  /** For how long its claim has been under way. */
  readonly claimingMs: number | undefined;
  /** Why its last run failed. */
  readonly lastError: string | undefined;
  /** Since its polling loop last ran. */
  readonly pollAgeMs: number | undefined;
  /** Tasks of the same kind that go first; undefined when they were not counted. */
  readonly aheadCount: number | undefined;
  /** Other schedulers that are alive. */
  readonly otherSchedulers: ReadonlySet<string>;
}

/** A task that could start and does not within this is called delayed. */
const DISPATCH_NOTICE_MS = 2_000;

/** A claim that takes longer than this is delayed: it takes 1 to 20 ms. */
const SLOW_CLAIM_MS = 1_000;

/** `DISPATCH_DELAYED`: why a task waits although a worker can take it. */
export function delayed(
  {
    readyTime: since,
    now,
    dispatch,
    turn,
  }: {
    readonly readyTime: Date;
    readonly now: Date;
    readonly dispatch: DispatchFacts;
    readonly turn?: TurnFacts | undefined;
  },
  fits: readonly FleetMember[],
  evidence: readonly Evidence[],
): Reason {
  const waited = now.getTime() - since.getTime();
  const who = `${names(fits)} can take it`;
  const { summary, remedy } = cause(waited, who, fits, dispatch, turn ? turnInWords(turn, now) : "");
  return {
    code: "DISPATCH_DELAYED",
    summary,
    since,
    evidence: [
      ...evidence,
      ...fact("waited_ms", Math.round(waited)),
      ...fact("tasks_ahead", dispatch.aheadCount),
      ...(turn ? turnEvidence(turn) : []),
      ...fact("dispatch_last_ran_ms_ago", round(dispatch.ranAgeMs)),
      ...fact("poll_last_ran_ms_ago", round(dispatch.pollAgeMs)),
      ...fact("claim_under_way_ms", round(dispatch.claimingMs)),
      ...fact("dispatch_error", dispatch.lastError),
    ],
    remedy,
  };
}

function cause(
  waited: number,
  who: string,
  fits: readonly FleetMember[],
  dispatch: DispatchFacts,
  shared: string,
): { readonly summary: string; readonly remedy: string } {
  const { claimingMs = 0, lastError, aheadCount = 0, otherSchedulers } = dispatch;
  if (claimingMs >= SLOW_CLAIM_MS) {
    return {
      summary: `${who}, but the claim has waited for PostgreSQL for ${span(claimingMs)}`,
      remedy:
        "find the lock or the load in PostgreSQL: select pid, state, wait_event, query from pg_stat_activity where cardinality(pg_blocking_pids(pid)) > 0",
    };
  }
  if (lastError !== undefined) {
    return {
      summary: `${who}, but the last assignment failed: ${lastError}`,
      remedy: "check the scheduler's log for dispatch.failed; the scheduler tries again by itself",
    };
  }
  const elsewhere = fits.filter((member) => member.elsewhere);
  if (elsewhere.length === fits.length) {
    const holder = elsewhere[0]?.record.schedulerId ?? "";
    const alive = otherSchedulers.has(holder);
    return {
      summary: `${who}, connected to scheduler ${holder}, ${alive ? `which has not assigned it for ${span(waited)}` : "which does not answer"}`,
      remedy: alive
        ? "it is assigned at that scheduler's next poll; if it lasts, check its log and /livez"
        : `restart scheduler ${holder}; its workers reconnect to another scheduler within the reconnect grace`,
    };
  }
  if (aheadCount > 0) {
    return {
      summary: `${who}; ${plural(aheadCount, "older or more urgent task")} of its kind ${agree(aheadCount, ["goes", "go"])} first${shared}`,
      remedy: "it is assigned in its turn; to start it earlier, start another worker",
    };
  }
  if (waited < DISPATCH_NOTICE_MS) {
    return { summary: `its assignment is next: ${who}${shared}`, remedy: "nothing to do unless it lasts" };
  }
  return {
    summary: `${who}, and it has waited ${span(waited)}: more urgent tasks go first, or the scheduler is overloaded${shared}`,
    remedy:
      "nothing to do unless it lasts; then check the scheduler's log, /livez and the load of PostgreSQL",
  };
}

function fact(key: string, value: string | number | undefined): Evidence[] {
  return value === undefined ? [] : [{ key, value: String(value), source: "matcher" }];
}

function round(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}
