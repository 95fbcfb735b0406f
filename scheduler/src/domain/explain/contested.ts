import { type Contest, processInWords } from "../workers/contest.ts";
import { plural, type Reason, span } from "./reason.ts";

/** A contest in which no process had to wait for this long is over: a process that waits asks every 15 s. */
export const CONTEST_NEWS_MS = 60_000;

/** What to do about two processes with one worker id. */
export const CONTEST_REMEDY =
  "stop one of the two processes, or give each a WORKER_ID of its own. Until then the id goes back and forth after growing waits; what a takeover interrupts runs again and uses up no attempt";

/** The fight in one sentence. @param now The database's clock. */
export function contestInWords(contest: Contest, now: Date): string {
  const { workerId, holder, other, waits, takeovers, askedTime } = contest;
  const asked = span(now.getTime() - askedTime.getTime());
  const second = waits
    ? `${processInWords(other)} asked for the id ${asked} ago and has to wait`
    : `had to wait for it until ${asked} ago, when ${processInWords(other)} still had it`;
  const first = `${processInWords(holder)} has it`;
  return `two living processes use the worker id ${workerId}: ${first}${waits ? "; " : ", and "}${second}. It went from one to another ${plural(takeovers, "time")} within 15 min`;
}

/** Why work on a worker is interrupted again and again. @param now The database's clock. */
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
