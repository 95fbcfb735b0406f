/** The last failed dial of a worker, from its own log: an engine without a supervisor has no other report of it. */

/** Events of a worker's log with an error of a dial; see docs/logs.md. */
const DIAL_EVENTS = /"event":\s*"(worker\.dial\.failed|worker\.dial_failed)"/;

/** The error; empty when the end of the output has none. */
export function lastDialError(output: string): string {
  for (const line of output.split("\n").toReversed()) {
    if (!DIAL_EVENTS.test(line)) continue;
    try {
      const { error, address } = JSON.parse(line) as { readonly error?: unknown; readonly address?: unknown };
      if (typeof error !== "string" || error === "") continue;
      return typeof address === "string" && !error.includes(address) ? `${error} (${address})` : error;
    } catch {
      // The first line of the kept output may be cut.
    }
  }
  return "";
}
