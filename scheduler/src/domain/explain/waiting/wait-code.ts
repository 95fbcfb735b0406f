/** The reason code of a class that waits, from what its wait log has. */
import type { Filter } from "../../matching/match.ts";
import type { MatchRecord } from "../../matching/match-log.ts";

const CODES: Readonly<Record<Filter, string>> = {
  slots: "ALL_SLOTS_BUSY",
  alone: "RUNS_ALONE",
  unanswered: "DISPATCH_DELAYED",
  quarantined: "QUARANTINED",
  paused: "WORKERS_PAUSED",
  draining: "WORKERS_DRAINING",
  starting: "WORKERS_STARTING",
  resources: "RESOURCE_NOT_LOADED",
  // Whether a worker that has gone would do is not known here.
  capacity: "NO_WORKER_FITS",
  labels: "NO_WORKER_MATCHES_LABELS",
  build: "BUILD_NOT_RUNNING",
  queue: "NO_WORKER_FOR_TYPE",
  type: "NO_WORKER_FOR_TYPE",
};

/**
 * The reason code of a class that waits, as its explanation would name it first.
 *
 * @param heldBack Code of the admission rule that holds the class back; undefined when it is admitted.
 */
export function waitCode(
  record: Pick<MatchRecord, "lookedAt" | "found" | "nearest">,
  heldBack: string | undefined,
): string {
  if (heldBack !== undefined) return heldBack;
  if (record.lookedAt === 0) return "NO_WORKERS";
  return record.nearest === undefined ? "DISPATCH_DELAYED" : CODES[record.nearest];
}
