import { readableTlsProblem } from "./tls-problem.ts";

/** The words of the gRPC library around the reason of a dial that failed. */
const WORDS = /^No connection established\. Last error: (.*?)(?:\. Resolution note: (.*))?$/s;

/** When the library says so, it means the last dial; the log line has a time already. */
const WHEN = / \(\d{4}-\d\d-\d\dT[\d:.]+Z\)/g;

/**
 * Why a dial failed, without the words of the gRPC library around it. Where the library does not know it, which it
 * calls "undefined" or "null", that is said.
 */
export function readableDialError(text: string): string {
  const [, reason = text, note = ""] = WORDS.exec(text) ?? [];
  const known = /^(?:undefined|null)?$/.test(reason.trim()) ? note.trim() : reason;
  const plain =
    known.replaceAll(WHEN, "").trim() || (text === "" ? "" : "the connection was closed before it was up");
  return readableTlsProblem(plain);
}
