/** Records events of resources that were loaded on request. */
import type { Clock } from "../../clock.ts";
import type { HeartbeatRecord } from "../../domain/workers/worker.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { Session } from "../sessions/session.ts";

export interface ResourceEventParts {
  readonly clock: Pick<Clock, "monotonic">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly log: Pick<Logger, "info" | "warn">;
}

/** Records which resources that a session was asked for are loaded now, and which could not be loaded. */
export function recordResourceEvents(
  { clock, eventWriter, log }: ResourceEventParts,
  session: Session,
  before: HeartbeatRecord | undefined,
): void {
  const append = (name: string, attributes: Readonly<Record<string, string>>) =>
    eventWriter.appendEvent({ name, sessionId: session.id, workerId: session.workerId, attributes });
  for (const [resource, { since }] of session.asks) {
    if (!session.resources.has(resource)) continue;
    session.dropAsk(resource);
    const afterMs = Math.round(clock.monotonic() - since);
    log.info("resource.loaded", { resource, worker_id: session.workerId, after_ms: afterMs });
    append("resource.loaded", { resource, after_ms: String(afterMs) });
  }
  const states = session.lastBeat?.resourceStates ?? [];
  if (states.length === 0) return;
  const known = new Map((before?.resourceStates ?? []).map((state) => [state.resource, state]));
  for (const { resource, state, failures, error } of states) {
    if (state !== "failed" || failures <= (known.get(resource)?.failures ?? 0)) continue;
    log.warn("resource.failed", { resource, worker_id: session.workerId, failures, error });
    append("resource.failed", { resource, failures: String(failures), error });
  }
}
