import { ChurnMap } from "@muster/common/churn-map";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { Candidate, TypeCapacity } from "../../domain/matching/match.ts";
import type {
  FatalRecord,
  HeartbeatRecord,
  StartupPhaseRecord,
  WorkerHello,
} from "../../domain/workers/worker.ts";
import type { Attempt } from "../attempts/attempt.ts";
import type { WorkerLink } from "./link.ts";

/** An attempt that is no longer the session's while its worker may still run it: it occupies a slot. */
export interface Lingering {
  readonly key: AttemptKey;
  /** Empty when this scheduler does not know it. */
  readonly type: string;
  /** Since when it is no longer the session's, monotonic milliseconds. */
  readonly since: number;
  /** Why it is not. */
  readonly reason: string;
}

/** A request to load a resource. Times are monotonic milliseconds. */
export interface ResourceAsk {
  /** When it was first asked for. */
  readonly since: number;
  /** When it was asked for last. */
  at: number;
  /** How often. */
  count: number;
}

/** A worker process registered with this scheduler. */
export class Session implements Candidate {
  readonly id: number;
  readonly uuid: string;
  readonly workerId: string;
  readonly queues: ReadonlySet<string>;
  readonly types: Map<string, TypeCapacity>;
  readonly labels: Readonly<Record<string, string>>;
  readonly hello: WorkerHello;
  /** By task id: a session never holds two attempts of one task. */
  readonly attempts = new ChurnMap<number, Attempt>();
  /** Revoked attempts whose handlers may still run, by attempt id. */
  readonly lingering = new Map<string, Lingering>();
  resources: ReadonlySet<string>;
  /** Undefined while the stream is down. */
  link: WorkerLink | undefined;
  /** When the stream dropped (monotonic); undefined while it is up. */
  droppedAt: number | undefined;
  phases: StartupPhaseRecord[];
  startupDone: boolean;
  draining: boolean;
  pauseReason: string | undefined;
  slots: number;
  /** Attempts that are being claimed for it. */
  reserved = 0;
  /** Until then (monotonic) nothing is assigned to it, because it did not accept an assignment or had no place for one. */
  acceptStalledUntil = 0;
  /** Why, as a verb phrase with the worker as its subject. */
  stallReason = "";
  stallMs = 0;
  /** Assignments in a row that it refused or did not answer in time. */
  #stalls = 0;
  lastBeat: HeartbeatRecord | undefined;
  lastBeatAt: number;
  /** When its stream began (monotonic). */
  readonly connectedAt: number;
  beatUnwritten = false;
  /** Its startup phases or its state are not in the store as they are here. */
  startupUnwritten = false;
  /** Its heartbeats have listed an attempt, so that one that they omit counts as missing. */
  listsAttempts = false;
  fatal: FatalRecord | undefined;
  goodbyeReceived = false;
  /** When it came to hold nothing (monotonic); undefined while it holds something. */
  idleSince: number | undefined;
  /** What it was asked to load and has not loaded, by resource. */
  readonly asks = new Map<string, ResourceAsk>();
  /** Attempts whose results were committed before its stream dropped, and whose acknowledgements got lost. */
  readonly committed = new Set<string>();
  /** Tasks by class that were planned for it and taken by others, since `takeLostRaces`. */
  #lostRaces = new Map<number, number>();
  #committingCount = 0;
  /** Attempts that must have the process for themselves, held and reserved. */
  #aloneCount = 0;
  /** Until then (monotonic) it is kept free for a task that must run alone. */
  keptFreeUntil = 0;

  constructor(init: {
    id: number;
    uuid: string;
    workerId: string;
    hello: WorkerHello;
    phases: readonly StartupPhaseRecord[];
    ready: boolean;
    draining: boolean;
    link: WorkerLink;
    now: number;
  }) {
    this.id = init.id;
    this.uuid = init.uuid;
    this.workerId = init.workerId;
    this.hello = init.hello;
    this.queues = new Set(init.hello.queues);
    this.types = new Map(
      init.hello.types.map(({ type, concurrency }) => [
        type,
        { limit: concurrency > 0 ? concurrency : Number.POSITIVE_INFINITY, active: 0 },
      ]),
    );
    this.labels = init.hello.labels;
    this.resources = new Set(init.hello.resources);
    this.phases = [...init.phases];
    this.startupDone = init.ready;
    this.draining = init.draining;
    this.slots = init.hello.slots;
    this.link = init.link;
    this.lastBeatAt = init.now;
    this.connectedAt = init.now;
    this.idleSince = init.now;
  }

  /** Registered, startup finished, stream live. */
  get ready(): boolean {
    return this.startupDone && this.link !== undefined;
  }

  /** Attempts it may be given now: slots plus prefetch, less what it holds and is about to be given. */
  get credit(): number {
    return this.slots + this.hello.prefetch - this.outstanding;
  }

  /** True when an attempt given now would start at once. */
  get hasFreeSlot(): boolean {
    return this.slots > this.outstanding;
  }

  /** Attempts that occupy it, those being claimed and those whose handlers outlive a revocation among them. */
  get outstanding(): number {
    return this.attempts.size - this.#committingCount + this.reserved + this.lingering.size;
  }

  get occupied(): boolean {
    return this.outstanding > 0;
  }

  get runsAlone(): boolean {
    return this.#aloneCount > 0;
  }

  /** Keeps a place for an attempt that is about to be claimed; `alone` when it must have the process for itself. */
  reserve(type: string, alone = false): void {
    this.reserved++;
    this.#count(type, 1);
    if (alone) this.#aloneCount++;
  }

  /** Gives a kept place back. */
  unreserve(type: string, alone = false): void {
    this.reserved--;
    this.#count(type, -1);
    if (alone) this.#aloneCount--;
  }

  /**
   * Takes an attempt in; `reserved` when a place was kept for it. An older attempt of the task ends: it was requeued,
   * and the answer to its commit has not arrived.
   */
  hold(attempt: Attempt, reserved: boolean): void {
    const older = this.attempts.get(attempt.taskId);
    if (older) this.#end(older);
    if (reserved) this.reserved--;
    else {
      this.#count(attempt.type, 1);
      if (attempt.alone) this.#aloneCount++;
    }
    this.attempts.set(attempt.taskId, attempt);
    this.idleSince = undefined;
  }

  /**
   * The attempt's end is being written: its place is free although that is not committed yet.
   *
   * @param reported Its worker has sent a result.
   */
  startCommit(attempt: Attempt, reported = false): void {
    attempt.startCommit(reported);
    this.#committingCount++;
    this.#count(attempt.type, -1);
    if (attempt.alone) this.#aloneCount--;
  }

  /** The database has not taken the attempt's end: its place is not assigned again until it has. */
  occupyAgain(attempt: Attempt, why: string): void {
    if (attempt.state === "ended") return;
    if (attempt.state === "committing") {
      this.#committingCount--;
      this.#count(attempt.type, 1);
    }
    attempt.holdUp(why);
  }

  /** Forgets an attempt. @param now Monotonic milliseconds. */
  release(attempt: Attempt, now: number): void {
    if (this.attempts.get(attempt.taskId) !== attempt) return;
    this.attempts.delete(attempt.taskId);
    if (this.attempts.size + this.lingering.size === 0) this.idleSince = now;
    this.#end(attempt);
  }

  /**
   * It is given nothing for a while, for longer each time that this follows another.
   *
   * @param now Monotonic milliseconds. @param firstMs The first wait; it doubles up to `lastMs`.
   */
  stall(now: number, reason: string, firstMs: number, lastMs: number): void {
    this.stallMs = Math.min(lastMs, firstMs * 2 ** Math.min(this.#stalls, 30));
    this.acceptStalledUntil = now + this.stallMs;
    this.stallReason = reason;
    this.#stalls++;
  }

  /** It took an assignment in time. */
  endStall(): void {
    this.acceptStalledUntil = 0;
    this.#stalls = 0;
  }

  /** Its worker may still run an attempt that is no longer its own: the slot is taken until a beat leaves it out. */
  linger(lingering: Lingering): void {
    const id = formatAttemptId(lingering.key);
    if (this.lingering.has(id)) return;
    this.lingering.set(id, lingering);
    this.#count(lingering.type, 1);
    this.idleSince = undefined;
  }

  /** The worker has let go of it. @param now Monotonic milliseconds. */
  letGo(id: string, now: number): void {
    const known = this.lingering.get(id);
    if (!known) return;
    this.lingering.delete(id);
    this.#count(known.type, -1);
    if (this.attempts.size + this.lingering.size === 0) this.idleSince = now;
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

  /** It turned out to have no handler for the type. */
  forgetType(type: string): void {
    this.types.delete(type);
  }

  #end(attempt: Attempt): void {
    if (attempt.state === "committing") this.#committingCount--;
    else this.#count(attempt.type, -1);
    if (attempt.alone && attempt.isOpen) this.#aloneCount--;
    attempt.end();
  }

  #count(type: string, change: number): void {
    const capacity = this.types.get(type);
    if (capacity) capacity.active += change;
  }
}
