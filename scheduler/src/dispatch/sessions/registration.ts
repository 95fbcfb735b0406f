/** Registers workers' streams: the session in the store, its attempts, and its place among the classes. */
import { Batcher } from "@muster/common/batcher";
import type { Clock } from "../../clock.ts";
import { formatAttemptId } from "../../domain/ids.ts";
import { processInWords } from "../../domain/workers/contest.ts";
import type { QuarantineSettings } from "../../domain/workers/quarantine.ts";
import type { AttemptStore, SessionOpen, SessionOpened, SessionStore } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Admission } from "../admission/admission.ts";
import type { LapsedAttempts } from "../attempts/lapsed-attempts.ts";
import type { ResultCommitter } from "../attempts/result-committer.ts";
import type { EventWriter } from "../attempts/writers/event-writer.ts";
import type { LeaseSettings } from "../limits.ts";
import type { ClassIndex } from "../matching/class-index.ts";
import { OutcomeWindow } from "../quarantine/outcome-window.ts";
import { CompletionWindow } from "./completion-window.ts";
import type { WorkerLink } from "./link.ts";
import { type AttemptDecision, type ListedAttempt, reconcile } from "./reconcile.ts";
import type { Registry } from "./registry.ts";
import { Session, type SessionQuarantine } from "./session.ts";
import type { SessionTerminator } from "./session-terminator.ts";
import type { StartupRecorder } from "./startup-recorder.ts";
import { contestedRefusal, supersededRefusal } from "./termination-reasons.ts";

/** Registrations in one statement: a storm of 2,000 takes ten. */
const MAX_OPEN_BATCH = 200;

/** A worker's hello. */
export interface Registration extends Omit<SessionOpen, "inFlight"> {
  readonly inFlight: readonly ListedAttempt[];
  /** Why its last stream ended, when this is a reconnect. */
  readonly lastError: string;
}

/** A session that was registered, and which of the attempts that its worker reported it keeps. */
export interface Registered {
  readonly session: Session;
  readonly decisions: readonly AttemptDecision[];
}

export class Registrar {
  readonly #parts: RegistrarParts;
  readonly #opener: Batcher<SessionOpen, SessionOpened>;
  readonly #registering = new Map<string, Promise<unknown>>();

  constructor(parts: RegistrarParts) {
    this.#parts = parts;
    this.#opener = new Batcher(
      (opens) => parts.store.openSessions(opens, parts.schedulerId, parts.leases.leaseMs),
      { maxWeight: MAX_OPEN_BATCH },
    );
  }

  /**
   * Registers a worker's stream. Streams of one session are taken one after the other; the newest wins.
   *
   * @throws Refusal when another living process has the worker id
   * @throws DatabaseUnavailableError
   */
  async register(registration: Registration, link: WorkerLink): Promise<Registered> {
    const before = this.#registering.get(registration.uuid);
    const registered = (before ?? Promise.resolve()).then(
      () => this.#register(registration, link),
      () => this.#register(registration, link),
    );
    this.#registering.set(registration.uuid, registered);
    try {
      return await registered;
    } finally {
      if (this.#registering.get(registration.uuid) === registered)
        this.#registering.delete(registration.uuid);
    }
  }

  async #register(registration: Registration, link: WorkerLink): Promise<Registered> {
    const { registry, classes, clock, terminator } = this.#parts;
    const { uuid, hello } = registration;
    const readAt = clock.monotonic();
    const opened = await this.#opener.add(registration);
    if (opened.contested) this.#refuseContested(registration, opened.contested);
    await classes.load(opened.attempts.map(({ classId }) => classId));
    const old = registry.byUuid(uuid);
    const { session, decisions } = this.#admit(registration, { ...opened, readAt }, link, old);
    this.#logRegistered(registration, old !== undefined, decisions);
    this.#recordFailedStart(registration, session, old);
    await terminator.terminateSuperseded(opened.superseded, {
      sessionId: session.id,
      process: hello.host,
    });
    return { session, decisions: await this.#withCommitted(session, decisions) };
  }

  #refuseContested(
    { workerId, hello }: Registration,
    contested: NonNullable<SessionOpened["contested"]>,
  ): never {
    const { holder, leftMs, takeovers } = contested;
    this.#parts.log.warn("worker.id_contested", {
      worker_id: workerId,
      holder: processInWords(holder),
      waiting: processInWords(hello.host),
      wait_ms: Math.round(leftMs),
      takeovers,
    });
    throw contestedRefusal(workerId, hello.host, contested);
  }

  /** Puts the session in the place of its older stream, all at once: nothing else runs in between. */
  #admit(
    { uuid, workerId, hello, phases, ready, draining, inFlight }: Registration,
    {
      sessionId,
      attempts: rows,
      pause,
      quarantined,
      completed,
      readAt,
    }: SessionOpened & { readonly readAt: number },
    link: WorkerLink,
    old: Session | undefined,
  ): { session: Session; decisions: AttemptDecision[] } {
    const { registry, classes, clock, quarantine } = this.#parts;
    if (old) this.#replace(old);
    const session = new Session({
      ...{ id: sessionId, uuid, workerId, hello, phases, ready, draining, link },
      operatorPause: pause,
      completions:
        old?.completions ?? (completed && CompletionWindow.resume(completed.record, completed.ageMs, readAt)),
      outcomes: old?.outcomes ?? new OutcomeWindow(quarantine.windowMs),
      // The database may not have it yet.
      quarantine: old?.quarantine ?? (quarantined && resumedQuarantine(quarantined, clock.monotonic())),
      ownPauseRecorded: old?.ownPauseRecorded,
      asks: old?.asks,
      now: clock.monotonic(),
    });
    const decisions = reconcile(this.#parts, { session, inFlight, rows, readAt, old });
    if (old) {
      registry.remove(old);
      classes.removeSession(old);
    }
    registry.add(session);
    classes.addSession(session);
    return { session, decisions };
  }

  /** Ends the stream that a newer one of the same session takes the place of; the session itself goes on. */
  #replace(old: Session): void {
    const { link } = old;
    old.replace();
    link?.close(supersededRefusal(old.workerId));
  }

  #logRegistered(
    { uuid, workerId, hello, lastError }: Registration,
    known: boolean,
    decisions: readonly AttemptDecision[],
  ): void {
    this.#parts.log.info(known || lastError ? "worker.reconnected" : "worker.registered", {
      worker_id: workerId,
      session_id: uuid,
      types: hello.types.map(({ type }) => type),
      queues: hello.queues,
      slots: hello.slots,
      kept: decisions.filter(({ keep }) => keep).length,
      revoked: decisions.filter(({ keep }) => !keep).length,
      ...(lastError ? { last_error: lastError } : {}),
    });
  }

  /** A start that failed before it could register: its supervisor, if it has one, has reported the phase. */
  #recordFailedStart(
    { phases, lastError, hello }: Registration,
    session: Session,
    old: Session | undefined,
  ): void {
    if (old || lastError !== "" || hello.launchId !== "") return;
    for (const phase of phases)
      if (phase.outcome === "failed") this.#parts.startup.recordPhase(session, phase);
  }

  /** An attempt whose result was committed and whose acknowledgement got lost is not lost: the worker sends it again. */
  async #withCommitted(session: Session, decisions: AttemptDecision[]): Promise<AttemptDecision[]> {
    const missing = decisions.filter(({ keep }) => !keep).map(({ key }) => key);
    if (missing.length === 0) return decisions;
    const committed = await this.#parts.store.committedResults(missing);
    for (const key of committed) session.noteCommitted(key);
    const ids = new Set(committed.map(formatAttemptId));
    return decisions.map((decision) =>
      ids.has(formatAttemptId(decision.key)) ? { ...decision, keep: true, reason: "" } : decision,
    );
  }
}

export interface RegistrarParts {
  readonly store: Pick<SessionStore, "openSessions"> & Pick<AttemptStore, "committedResults">;
  readonly admission: Pick<Admission, "hold" | "release">;
  readonly registry: Pick<Registry, "add" | "byUuid" | "remove">;
  readonly classes: Pick<ClassIndex, "get" | "load" | "addSession" | "removeSession">;
  readonly terminator: Pick<SessionTerminator, "terminateSuperseded">;
  readonly startup: Pick<StartupRecorder, "recordPhase">;
  /** For attempts that the worker never received. */
  readonly committer: Pick<ResultCommitter, "endAttempt">;
  readonly lapsed: Pick<LapsedAttempts, "resume">;
  readonly eventWriter: Pick<EventWriter, "writeAttempt">;
  readonly clock: Pick<Clock, "monotonic">;
  readonly log: Pick<Logger, "info" | "warn">;
  readonly leases: Pick<LeaseSettings, "leaseMs">;
  readonly quarantine: Pick<QuarantineSettings, "windowMs">;
  readonly schedulerId: string;
}

/** A quarantine that the session brought from its last stream. @param now Monotonic milliseconds. */
function resumedQuarantine(
  { record, probeInMs }: NonNullable<SessionOpened["quarantined"]>,
  now: number,
): SessionQuarantine {
  return { record, startedAt: now, probeAt: now + Math.max(0, probeInMs) };
}
