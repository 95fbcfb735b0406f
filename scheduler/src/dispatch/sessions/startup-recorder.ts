/** Records the startup of workers: phases as events and in the log, and how far it is in the session's row. */
import { DatabaseUnavailableError } from "../../domain/errors.ts";
import type { StartupPhaseRecord } from "../../domain/workers/worker.ts";
import type { SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { Session } from "./session.ts";

export class StartupRecorder {
  readonly #parts: StartupRecorderParts;

  constructor(parts: StartupRecorderParts) {
    this.#parts = parts;
  }

  /** A phase as an event of the worker and a line of the log. */
  recordPhase({ id, workerId }: Pick<Session, "id" | "workerId">, phase: StartupPhaseRecord): void {
    const { log, eventWriter } = this.#parts;
    const elapsedMs = Math.round(phase.elapsedMs);
    const outcome = phase.outcome || "ok";
    const detail = phase.detail ? { detail: phase.detail } : {};
    const attributes = { ...phase.attributes, phase: phase.phase, outcome, elapsed_ms: String(elapsedMs) };
    eventWriter.appendEvent({
      name: "worker.startup.phase",
      sessionId: id,
      workerId,
      attributes: { ...attributes, ...detail },
    });
    const fields = { worker_id: workerId, phase: phase.phase, outcome, elapsed_ms: elapsedMs, ...detail };
    log.info("worker.startup.phase", fields);
  }

  /**
   * The phases so far, and whether the worker is ready or draining, in the session's row. While the database is away
   * the session is noted as unwritten.
   *
   * @throws DatabaseUnavailableError
   */
  async recordStartup(session: Session): Promise<void> {
    session.noteStartupWritten(true);
    try {
      await this.#parts.store.recordStartup(
        session.id,
        session.phases,
        session.startupDone,
        session.draining,
      );
    } catch (error) {
      session.noteStartupWritten(!(error instanceof DatabaseUnavailableError));
      throw error;
    }
  }
}

export interface StartupRecorderParts {
  readonly store: Pick<SessionStore, "recordStartup">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly log: Pick<Logger, "info">;
}
