/** Handles what workers report of themselves: heartbeats, startup phases, a drain, and their end. */
import type { Clock } from "../../clock.ts";
import type { FatalRecord, HeartbeatRecord, StartupPhaseRecord } from "../../domain/workers/worker.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { noteBeat } from "../attempts/attempt-watch.ts";
import type { SlotReports } from "../attempts/slot-reports.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import { recordResourceEvents } from "../resources/resource-events.ts";
import { takeLimits } from "./places/adaptive-limits.ts";
import type { Session } from "./session.ts";
import type { SessionTerminator } from "./session-terminator.ts";
import type { StartupRecorder } from "./startup-recorder.ts";

/** Startup phases kept of a session; a worker has a dozen. */
const MAX_PHASES = 200;

export class SessionReportHandler {
  readonly #parts: SessionReportParts;

  constructor(parts: SessionReportParts) {
    this.#parts = parts;
  }

  /** The lease is renewed with the next renewal of all sessions. */
  handleHeartbeat(session: Session, beat: HeartbeatRecord): void {
    const { classes, clock, counters, dispatcher, log } = this.#parts;
    counters.heartbeats++;
    const before = session.lastBeat;
    const wasPaused = session.pauseReason !== undefined;
    const lingering = session.lingering.size;
    session.noteHeartbeat(beat, clock.monotonic());
    noteBeat(session, beat, session.lastBeatAt);
    this.#parts.slotReports.noteBeat(session, beat);
    if (session.lingering.size < lingering) dispatcher.pump();
    if (log.debugEnabled) {
      log.debug("worker.heartbeat", {
        worker_id: session.workerId,
        sequence: beat.sequence,
        running: beat.running.length,
        loop_age_ms: Math.round(beat.loopAgeMs),
        paused: beat.paused,
      });
    }
    if (wasPaused && session.pauseReason === undefined) dispatcher.pump();
    if (session.ownPauseRecorded !== (session.ownPauseReason !== undefined)) this.#recordPause(session);
    if (beat.slots > 0 && beat.slots !== session.slots) {
      classes.change(session, () => session.setSlots(beat.slots));
      dispatcher.pump();
    }
    if (beat.adaptive && takeLimits(this.#parts, session, beat, session.lastBeatAt)) dispatcher.pump();
    const loaded = new Set(beat.resources);
    if (
      loaded.size !== session.resources.size ||
      beat.resources.some((name) => !session.resources.has(name))
    ) {
      classes.change(session, () => session.setResources(loaded));
      dispatcher.pump();
    }
    recordResourceEvents(this.#parts, session, before);
  }

  /** It began to pause by itself, or takes work again. */
  #recordPause(session: Session): void {
    const { counters, eventWriter } = this.#parts;
    const reason = session.ownPauseReason;
    session.noteOwnPauseRecorded(reason !== undefined);
    const measures = session.lastBeat?.pressures?.map(({ measure }) => measure) ?? [];
    if (reason !== undefined)
      for (const measure of measures.length > 0 ? measures : ["program"]) counters.workerPauses.add(measure);
    eventWriter.appendEvent({
      name: reason === undefined ? "worker.resumed" : "worker.paused",
      sessionId: session.id,
      workerId: session.workerId,
      attributes: { by: "worker", ...(reason === undefined ? {} : { reason }) },
    });
  }

  /** @throws DatabaseUnavailableError */
  async handleStartupPhase(session: Session, phase: StartupPhaseRecord): Promise<void> {
    const { dispatcher, startup } = this.#parts;
    const ready = phase.phase === "ready" && !session.startupDone;
    if (session.phases.length >= MAX_PHASES && !ready) return;
    session.notePhase(phase);
    if (ready) session.finishStartup();
    startup.recordPhase(session, phase);
    if (ready) dispatcher.pump();
    await startup.recordStartup(session);
  }

  /** @throws DatabaseUnavailableError */
  async handleDraining(session: Session, reason: string): Promise<void> {
    const { log, eventWriter, startup } = this.#parts;
    if (session.draining) return;
    session.drain();
    log.info("worker.draining", { worker_id: session.workerId, reason, attempts: session.attempts.size });
    eventWriter.appendEvent({
      name: "worker.draining",
      sessionId: session.id,
      workerId: session.workerId,
      attributes: { reason },
    });
    await startup.recordStartup(session);
  }

  /** A planned end: what the session still holds is requeued without blame. @throws DatabaseUnavailableError */
  async handleGoodbye(session: Session, reason: string): Promise<void> {
    if (session.goodbyeReceived) return;
    session.noteGoodbye();
    this.#parts.log.info("worker.goodbye", { worker_id: session.workerId, reason });
    await this.#parts.terminator.terminateSession(session, "finished");
  }

  /** The process is about to die: its attempts are requeued at once. @throws DatabaseUnavailableError */
  async handleFatal(session: Session, fatal: FatalRecord): Promise<void> {
    if (session.fatal) return;
    session.noteFatal(fatal);
    this.#parts.log.error("worker.fatal", {
      worker_id: session.workerId,
      phase: fatal.phase,
      exception_class: fatal.exceptionClass,
      exception_message: fatal.exceptionMessage,
      exit_code: fatal.exitCode,
    });
    await this.#parts.terminator.terminateSession(session, "fatal");
  }
}

export interface SessionReportParts {
  readonly classes: Pick<ClassIndex, "change">;
  readonly dispatcher: Pick<Dispatcher, "pump">;
  readonly terminator: Pick<SessionTerminator, "terminateSession">;
  readonly startup: StartupRecorder;
  readonly slotReports: Pick<SlotReports, "noteBeat">;
  readonly eventWriter: Pick<EventWriter, "appendEvent">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "debug" | "debugEnabled" | "info" | "warn" | "error">;
  readonly counters: Pick<Counters, "heartbeats" | "workerPauses">;
}
