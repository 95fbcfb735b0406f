/** A worker process registered with this scheduler, as state machines: only the transitions here change it. */
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { KeptRoom } from "../../domain/matching/kept-room.ts";
import type { Candidate } from "../../domain/matching/match.ts";
import { nextState } from "../../domain/state-machine.ts";
import { type OperatorPause, ownPauseReason, pauseInWords } from "../../domain/workers/operator-pause.ts";
import type { QuarantineRecord } from "../../domain/workers/quarantine.ts";
import {
  INTAKE_MACHINE,
  type IntakeState,
  STREAM_MACHINE,
  type StreamState,
  type StreamTransition,
} from "../../domain/workers/session-machine.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
} from "../../domain/workers/worker.ts";
import { OutcomeWindow } from "../quarantine/outcome-window.ts";
import { CompletionWindow } from "./completion-window.ts";
import type { WorkerLink } from "./link.ts";
import { SessionPlaces } from "./places/session-places.ts";

/** Window of the counts of a session that is made without one. */
const DEFAULT_WINDOW_MS = 300_000;

/** A request to load a resource. Times are monotonic milliseconds. */
export interface ResourceAsk {
  /** When it was first asked for. */
  readonly since: number;
  /** When it was asked for last. */
  readonly at: number;
  /** How often. */
  readonly count: number;
}

/** A quarantine as its scheduler applies it. Times are monotonic milliseconds. */
export interface SessionQuarantine {
  readonly record: QuarantineRecord;
  /** Attempts that were sent from then on are its probes. */
  readonly startedAt: number;
  /** Nothing is assigned before. */
  readonly probeAt: number;
}

/** A worker process registered with this scheduler, on one stream. A reconnect makes a new one. */
export class Session extends SessionPlaces implements Candidate {
  readonly id: number;
  readonly uuid: string;
  readonly workerId: string;
  readonly queues: ReadonlySet<string>;
  readonly labels: Readonly<Record<string, string>>;
  readonly build: string;
  readonly hello: WorkerHello;
  /** When its stream began (monotonic). */
  readonly connectedAt: number;
  /** How its attempts ended of late. */
  readonly outcomes: OutcomeWindow;
  /** The successes of its process, at whichever scheduler. */
  readonly completions: CompletionWindow;
  #stream: StreamState = STREAM_MACHINE.initial;
  #intake: IntakeState = INTAKE_MACHINE.initial;
  #link: WorkerLink | undefined;
  #droppedAt: number | undefined;
  readonly #phases: StartupPhaseRecord[];
  #startupUnwritten = false;
  #goodbyeReceived = false;
  #fatal: FatalRecord | undefined;
  #lastBeat: HeartbeatRecord | undefined;
  #lastBeatAt: number;
  #beatUnwritten = false;
  #listsAttempts = false;
  #operatorPause: OperatorPause | undefined;
  #pauseReason: string | undefined;
  #ownPauseRecorded: boolean;
  #resources: ReadonlySet<string>;
  readonly #asks: Map<string, ResourceAsk>;
  /** Attempts whose results were committed before its stream dropped, and whose acknowledgements got lost. */
  readonly #committed = new Set<string>();
  /** Tasks by class that were planned for it and taken by others, since `takeLostRaces`. */
  #lostRaces = new Map<number, number>();
  #acceptStalledUntil = 0;
  #stallReason = "";
  #stallMs = 0;
  /** Assignments in a row that it refused or did not answer in time. */
  #stalls = 0;
  #unaccepted = 0;
  #drainOrdered = false;
  #keptFreeUntil = 0;
  #keptRoom: KeptRoom | undefined;
  #quarantine: SessionQuarantine | undefined;

  /** @param init.asks What it was asked to load on its last stream and has not loaded. */
  constructor(init: {
    id: number;
    uuid: string;
    workerId: string;
    hello: WorkerHello;
    phases: readonly StartupPhaseRecord[];
    ready: boolean;
    draining: boolean;
    link: WorkerLink;
    operatorPause?: OperatorPause | undefined;
    ownPauseRecorded?: boolean | undefined;
    asks?: ReadonlyMap<string, ResourceAsk> | undefined;
    outcomes?: OutcomeWindow | undefined;
    completions?: CompletionWindow | undefined;
    quarantine?: SessionQuarantine | undefined;
    now: number;
  }) {
    super(init.hello, init.now);
    this.id = init.id;
    this.uuid = init.uuid;
    this.workerId = init.workerId;
    this.hello = init.hello;
    this.queues = new Set(init.hello.queues);
    this.labels = init.hello.labels;
    this.build = init.hello.buildId ?? "";
    this.#resources = new Set(init.hello.resources);
    this.#asks = new Map(init.asks);
    this.#phases = [...init.phases];
    this.#link = init.link;
    this.#lastBeatAt = init.now;
    this.connectedAt = init.now;
    this.outcomes = init.outcomes ?? new OutcomeWindow(DEFAULT_WINDOW_MS);
    this.completions = init.completions ?? new CompletionWindow();
    this.#quarantine = init.quarantine;
    this.#ownPauseRecorded = init.ownPauseRecorded ?? false;
    this.setOperatorPause(init.operatorPause);
    if (init.ready) this.finishStartup();
    if (init.draining) this.drain();
  }

  get stream(): StreamState {
    return this.#stream;
  }

  get intake(): IntakeState {
    return this.#intake;
  }

  /** Undefined unless the stream is live. */
  get link(): WorkerLink | undefined {
    return this.#link;
  }

  /** When the stream dropped (monotonic); undefined while it has not. */
  get droppedAt(): number | undefined {
    return this.#droppedAt;
  }

  /** True when this scheduler no longer holds the session in this record. */
  get isOver(): boolean {
    return this.#stream === "ended" || this.#stream === "replaced";
  }

  get startupDone(): boolean {
    return this.#intake === "ready" || this.#intake === "draining";
  }

  get draining(): boolean {
    return this.#intake === "draining" || this.#intake === "drainingInStartup";
  }

  /** It is assigned nothing more: it drains, or was asked to and has not answered yet. */
  get closing(): boolean {
    return this.draining || this.#drainOrdered;
  }

  /** Registered, startup finished, stream live. */
  get ready(): boolean {
    return this.startupDone && this.#link !== undefined;
  }

  get phases(): readonly StartupPhaseRecord[] {
    return this.#phases;
  }

  /** Its startup phases or its state are not in the store as they are here. */
  get startupUnwritten(): boolean {
    return this.#startupUnwritten;
  }

  get goodbyeReceived(): boolean {
    return this.#goodbyeReceived;
  }

  get fatal(): FatalRecord | undefined {
    return this.#fatal;
  }

  get lastBeat(): HeartbeatRecord | undefined {
    return this.#lastBeat;
  }

  get lastBeatAt(): number {
    return this.#lastBeatAt;
  }

  /** Its last heartbeat has not renewed its lease yet. */
  get beatUnwritten(): boolean {
    return this.#beatUnwritten;
  }

  /** Its heartbeats have listed an attempt, so that one that they omit counts as missing. */
  get listsAttempts(): boolean {
    return this.#listsAttempts;
  }

  /** Why it is assigned nothing: the worker's own reason, an operator's, or both. */
  get pauseReason(): string | undefined {
    return this.#pauseReason;
  }

  /** Why the worker itself asks for no new work. */
  get ownPauseReason(): string | undefined {
    return ownPauseReason(this.#lastBeat, this.#operatorPause);
  }

  /** The event of its own pause is recorded, and that of its end is not. */
  get ownPauseRecorded(): boolean {
    return this.#ownPauseRecorded;
  }

  get operatorPause(): OperatorPause | undefined {
    return this.#operatorPause;
  }

  get resources(): ReadonlySet<string> {
    return this.#resources;
  }

  /** What it was asked to load and has not loaded, by resource. */
  get asks(): ReadonlyMap<string, ResourceAsk> {
    return this.#asks;
  }

  /** Until then (monotonic) nothing is assigned to it, because it did not accept an assignment or had no place for one. */
  get acceptStalledUntil(): number {
    return this.#acceptStalledUntil;
  }

  /** Why, as a verb phrase with the worker as its subject. */
  get stallReason(): string {
    return this.#stallReason;
  }

  get stallMs(): number {
    return this.#stallMs;
  }

  /** Assignments in a row that it did not accept in time; those that were sent together count as one. */
  get unaccepted(): number {
    return this.#unaccepted;
  }

  /** Until then (monotonic) it is kept free for a task that must run alone. */
  get keptFreeUntil(): number {
    return this.#keptFreeUntil;
  }

  get keptRoom(): KeptRoom | undefined {
    return this.#keptRoom;
  }

  /** Undefined unless it is quarantined. */
  get quarantine(): SessionQuarantine | undefined {
    return this.#quarantine;
  }

  /** Until then (monotonic) it is assigned nothing, and then one attempt at a time; 0 when it is not quarantined. */
  get quarantinedUntil(): number {
    return this.#quarantine?.probeAt ?? 0;
  }

  /** Its stream ended. @param now Monotonic milliseconds. */
  drop(now: number): void {
    this.#endStream("drop");
    this.#droppedAt = now;
  }

  /** This scheduler stops and ends the stream. */
  detach(): void {
    this.#endStream("detach");
  }

  /** A newer stream of the session takes the place of this one. */
  replace(): void {
    this.#endStream("replace");
  }

  /** This scheduler holds the session no longer. */
  end(): void {
    this.#endStream("end");
  }

  /** The worker's startup is over: it may be assigned tasks. */
  finishStartup(): void {
    this.#intake = nextState(INTAKE_MACHINE, this.#intake, "finishStartup", workerIdOf, this);
  }

  /** The worker takes no more tasks. */
  drain(): void {
    this.#intake = nextState(INTAKE_MACHINE, this.#intake, "drain", workerIdOf, this);
  }

  /** Its worker is asked to drain. */
  orderDrain(): void {
    this.#drainOrdered = true;
  }

  notePhase(phase: StartupPhaseRecord): void {
    this.#phases.push(phase);
  }

  /** Its startup phases and its state are in the store as they are here, or are not. */
  noteStartupWritten(written: boolean): void {
    this.#startupUnwritten = !written;
  }

  noteGoodbye(): void {
    this.#goodbyeReceived = true;
  }

  noteFatal(fatal: FatalRecord): void {
    this.#fatal = fatal;
  }

  /** Takes a heartbeat; its resources are taken by `setResources`, its slots by `setSlots`. @param now Monotonic milliseconds. */
  noteHeartbeat(beat: HeartbeatRecord, now: number): void {
    this.#lastBeat = beat;
    this.#lastBeatAt = now;
    this.#beatUnwritten = true;
    this.#notePause();
    if (beat.running.length > 0) this.#listsAttempts = true;
  }

  /** An operator has paused its worker, or the pause has ended. */
  setOperatorPause(pause: OperatorPause | undefined): void {
    this.#operatorPause = pause;
    this.#notePause();
  }

  noteOwnPauseRecorded(recorded: boolean): void {
    this.#ownPauseRecorded = recorded;
  }

  /** Its last heartbeat is being written. */
  takeBeat(): void {
    this.#beatUnwritten = false;
  }

  /** The resources that its worker has loaded. The classes that it is matched with depend on them. */
  setResources(resources: ReadonlySet<string>): void {
    this.#resources = resources;
  }

  /** It is being asked to load a resource. @param now Monotonic milliseconds. */
  noteAsk(resource: string, now: number): void {
    const before = this.#asks.get(resource);
    this.#asks.set(resource, { since: before?.since ?? now, at: now, count: (before?.count ?? 0) + 1 });
  }

  /** It has loaded the resource, or nothing waits for it any more. */
  dropAsk(resource: string): void {
    this.#asks.delete(resource);
  }

  /** The attempt's result was committed before its stream dropped: the worker sends it again. */
  noteCommitted(key: AttemptKey): void {
    this.#committed.add(formatAttemptId(key));
  }

  /** True, once, for an attempt that was noted as committed. */
  takeCommitted(key: AttemptKey): boolean {
    return this.#committed.size > 0 && this.#committed.delete(formatAttemptId(key));
  }

  /** It did not accept an assignment in time. To be called before the wait that follows. @param now Monotonic milliseconds. */
  noteUnaccepted(now: number): void {
    if (now >= this.#acceptStalledUntil) this.#unaccepted++;
  }

  /**
   * It is given nothing for a while, for longer each time that this follows another.
   *
   * @param now Monotonic milliseconds. @param firstMs The first wait; it doubles up to `lastMs`.
   */
  stall(now: number, reason: string, firstMs: number, lastMs: number): void {
    this.#stallMs = Math.min(lastMs, firstMs * 2 ** Math.min(this.#stalls, 30));
    this.#acceptStalledUntil = now + this.#stallMs;
    this.#stallReason = reason;
    this.#stalls++;
  }

  /** It took an assignment in time. */
  endStall(): void {
    this.#acceptStalledUntil = 0;
    this.#stalls = 0;
    this.#unaccepted = 0;
  }

  /** It is kept free for a task that must run alone. @param until Monotonic milliseconds. */
  keepFree(until: number): void {
    this.#keptFreeUntil = until;
  }

  /** It keeps room for a task that costs more than it has free; for none with undefined. */
  keepRoom(room: KeptRoom | undefined): void {
    this.#keptRoom = room;
  }

  /** It is quarantined, or its quarantine goes on after a probe that failed. */
  setQuarantine(quarantine: SessionQuarantine): void {
    this.#quarantine = quarantine;
  }

  /** Its quarantine is over: what it failed before counts no longer. */
  endQuarantine(): void {
    this.#quarantine = undefined;
    this.outcomes.clear();
  }

  /** A task of the class was planned for it and another scheduler was faster. */
  loseRace(classId: number): void {
    this.#lostRaces.set(classId, (this.#lostRaces.get(classId) ?? 0) + 1);
  }

  /** Tasks lost since the last call, by class. */
  takeLostRaces(): ReadonlyMap<number, number> {
    const lost = this.#lostRaces;
    if (lost.size > 0) this.#lostRaces = new Map();
    return lost;
  }

  #notePause(): void {
    this.#pauseReason = pauseInWords(this.ownPauseReason, this.#operatorPause);
  }

  #endStream(transition: StreamTransition): void {
    this.#stream = nextState(STREAM_MACHINE, this.#stream, transition, workerIdOf, this);
    this.#link = undefined;
  }
}

function workerIdOf({ workerId }: Session): string {
  return workerId;
}
