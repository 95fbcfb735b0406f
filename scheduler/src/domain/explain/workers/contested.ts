/** `ID_CONTESTED`: two processes use one worker id. */
import { type Contest, processInWords } from "../../workers/contest.ts";
import { plural, type Reason, span } from "../reason.ts";

/** A contest is over when no process had to wait for this long: a waiting process asks every 15 s. */
export const CONTEST_OVER_MS = 60_000;

/** What to do about two processes with one worker id. */
export const CONTEST_REMEDY =
  "stop one of the two processes, or give each its own WORKER_ID; until then the id changes between them after growing waits, and the attempts that this interrupts run again and use up none";

/** The contest in one sentence. @param now The database's clock. */
export function contestInWords(contest: Contest, now: Date): string {
  const { workerId, holder, other, waits, takeovers, askedTime } = contest;
  const asked = span(now.getTime() - askedTime.getTime());
  const second = waits
    ? `${processInWords(other)} asked for it ${asked} ago and waits`
    : `took it from ${processInWords(other)} after it had waited until ${asked} ago`;
  const first = `${processInWords(holder)} has it`;
  return `two living processes use the worker id ${workerId}: ${first}${waits ? "; " : ", and "}${second}; it changed between them ${plural(takeovers, "time")} within 15 min`;
}

/** `ID_CONTESTED`: two live processes use one worker id. @param now The database's clock. */
export function explainContest(contest: Contest, now: Date): Reason {
  const { holder, other, waits, takeovers, askedTime } = contest;
  const ageMs = now.getTime() - askedTime.getTime();
  return {
    code: "ID_CONTESTED",
    summary: contestInWords(contest, now),
    since: askedTime,
    evidence: [
      { key: "holder", value: processInWords(holder), source: "hello" },
      { key: waits ? "waiting" : "superseded", value: processInWords(other), source: "hello", ageMs },
      { key: "takeovers", value: String(takeovers), source: "database" },
    ],
    remedy: CONTEST_REMEDY,
  };
}
