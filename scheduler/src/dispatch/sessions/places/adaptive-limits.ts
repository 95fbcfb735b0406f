/** Follows the limits that workers adapt, so that no task is assigned beyond them. */
import type { HeartbeatRecord } from "../../../domain/workers/worker.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import type { EventWriter } from "../../attempts/writers/event-writer.ts";
import type { Session } from "../session.ts";

/** At most one event of a type in this time: what a worker sends more often is followed and not recorded. */
const EVENT_EVERY_MS = 1_000;

export interface AdaptiveLimitsParts {
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly log: Pick<Logger, "info">;
}

/** Takes the limits of a heartbeat. True when one has risen: more may be assigned. @param now Monotonic milliseconds. */
export function takeLimits(
  { eventWriter, log }: AdaptiveLimitsParts,
  session: Session,
  { adaptive }: Pick<HeartbeatRecord, "adaptive">,
  now: number,
): boolean {
  let risen = false;
  for (const [type, limit] of Object.entries(adaptive ?? {})) {
    const before = session.types.get(type)?.limit;
    if (before === undefined || !session.setTypeLimit(type, limit)) continue;
    risen ||= limit.limit > before;
    if (!session.mayRecordLimit(type, now, EVENT_EVERY_MS)) continue;
    const facts = {
      task_type: type,
      limit: String(limit.limit),
      previous_limit: String(limit.previous),
      reason: limit.reason,
    };
    const { id: sessionId, workerId } = session;
    log.info("worker.concurrency_changed", { worker_id: workerId, ...facts });
    eventWriter.appendEvent({ name: "worker.concurrency_changed", sessionId, workerId, attributes: facts });
  }
  return risen;
}
