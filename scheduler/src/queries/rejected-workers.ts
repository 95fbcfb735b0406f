// Workers that were refused at registration: which are listed, and their explanations.
import type { Explanation } from "../domain/explain/reason.ts";
import { explainRejections } from "../domain/explain/workers/rejected.ts";
import type { RejectedWorker } from "../domain/workers/rejected-worker.ts";

/** False for a peer that broke the protocol: a port scanner or a program under development. */
export function isWorker({ code }: RejectedWorker): boolean {
  return code === "BAD_TOKEN" || code === "VERSION_MISMATCH";
}

/** Rejections by worker id, each list the latest first. */
export function byWorker(rejected: readonly RejectedWorker[]): Map<string, RejectedWorker[]> {
  return Map.groupBy(rejected, ({ workerId }) => workerId);
}

/**
 * The explanation of a worker with what was refused in its name.
 *
 * @param explanation Of its newest session; undefined when it was never registered.
 * @param goneTime When that session ended; undefined while it lives.
 * @param now The database's clock.
 */
export function explainWithRejections(
  workerId: string,
  explanation: Explanation | undefined,
  goneTime: Date | undefined,
  rejected: readonly RejectedWorker[],
  now: Date,
): Explanation {
  const refused = explainRejections(rejected, now);
  if (!explanation) return { subject: workerId, state: "refused", reasons: refused };
  const [latest] = rejected;
  if (!latest) return explanation;
  if (latest.holder === "itself") return { ...explanation, reasons: [...refused, ...explanation.reasons] };
  // A worker that was refused after its session ended is in state refused: that is the newer fact.
  if (goneTime && latest.lastTime > goneTime)
    return { ...explanation, state: "refused", reasons: [...refused, ...explanation.reasons] };
  return { ...explanation, reasons: [...explanation.reasons, ...refused] };
}
