/** The places of a session: slots, prefetch, what occupies them, and the credit that is left. */
import { ChurnMap } from "@muster/common/churn-map";
import { type AttemptKey, formatAttemptId } from "../../../domain/ids.ts";
import { type Capacity, type Cost, SLOTS, slotsOf } from "../../../domain/matching/capacity.ts";
import type { PayloadShortage, TaskClass, TypeCapacity } from "../../../domain/matching/match.ts";
import { MAX_SLOT_RELEASES, type SlotReleaseRecord } from "../../../domain/tasks/attempts/slot-release.ts";
import { type AdaptiveLimit, limitOf } from "../../../domain/workers/adaptive-limit.ts";
import type { Attempt } from "../../attempts/attempt.ts";
import { PayloadsAhead } from "./payloads-ahead.ts";

/** An attempt that is no longer the session's while its worker may still run it: it occupies a slot. */
export interface Lingering {
  readonly key: AttemptKey;
  /** Empty when this scheduler does not know it. */
  readonly type: string;
  /** What it takes, as far as this scheduler knows. */
  readonly cost: Cost | undefined;
  /** Since when it is no longer the session's, monotonic milliseconds. */
  readonly since: number;
  /** Why it is not. */
  readonly reason: string;
}

/** The attempts of a session, to read. */
export type HeldAttempts = Pick<ChurnMap<number, Attempt>, "get" | "has" | "keys" | "size" | "values">;

/** What a place is kept for: the class of a task, or the task itself. */
export type Occupant = Pick<TaskClass, "type" | "alone"> & {
  readonly requirements: Pick<TaskClass["requirements"], "cost">;
};

/** A type's capacity, whose use this file counts. */
interface CountedType extends TypeCapacity {
  limit: number;
  active: number;
  adaptive: AdaptiveLimit | undefined;
  /** The concurrency of its registration, above which no adapted limit goes. */
  readonly bound: number;
  /** When a change of its limit was recorded last, monotonic milliseconds. */
  limitRecordedAt: number;
  released: number;
}

/** The same of a named capacity. */
interface CountedCapacity extends Capacity {
  used: number;
}

/** What occupies a session. Each attempt takes one place, and frees it once: at its commit, or when it is released. */
export class SessionPlaces {
  readonly #attempts = new ChurnMap<number, Attempt>();
  readonly #lingering = new Map<string, Lingering>();
  readonly #types: Map<string, CountedType>;
  readonly #capacities: Map<string, CountedCapacity>;
  readonly #prefetch: number;
  #slots: number;
  /** Slots that occupants take beyond one each. */
  #extraSlots = 0;
  readonly #ahead: PayloadsAhead;
  /** Attempts that are being claimed for it. */
  #reserved = 0;
  #committingCount = 0;
  /** Attempts whose handlers wait without their slots. */
  #releasedCount = 0;
  /** Attempts that must have the process for themselves, held and reserved. */
  #aloneCount = 0;
  #idleSince: number | undefined;

  /** @param now Monotonic milliseconds. */
  constructor(
    {
      types,
      adaptive,
      slots,
      prefetch,
      capacities = {},
      assignmentBytes,
    }: {
      readonly types: readonly { readonly type: string; readonly concurrency: number }[];
      readonly adaptive?: Readonly<Record<string, AdaptiveLimit>>;
      readonly slots: number;
      readonly prefetch: number;
      readonly capacities?: Readonly<Record<string, number>>;
      readonly assignmentBytes?: number;
    },
    now: number,
  ) {
    this.#types = new Map(
      types.map(({ type, concurrency }) => {
        const bound = concurrency > 0 ? concurrency : Number.POSITIVE_INFINITY;
        const adapted = limitOf(adaptive, type);
        const limit = Math.min(bound, adapted?.limit ?? bound);
        return [
          type,
          {
            limit,
            active: 0,
            released: 0,
            adaptive: adapted,
            bound,
            limitRecordedAt: Number.NEGATIVE_INFINITY,
          },
        ];
      }),
    );
    this.#capacities = new Map(Object.entries(capacities).map(([name, total]) => [name, { total, used: 0 }]));
    this.#ahead = new PayloadsAhead(assignmentBytes);
    this.#slots = slots;
    this.#prefetch = prefetch;
    this.#idleSince = now;
  }

  /** By task id: a session never holds two attempts of one task. */
  get attempts(): HeldAttempts {
    return this.#attempts;
  }

  /** Revoked attempts whose handlers may still run, by attempt id. */
  get lingering(): ReadonlyMap<string, Lingering> {
    return this.#lingering;
  }

  get types(): ReadonlyMap<string, TypeCapacity> {
    return this.#types;
  }

  get slots(): number {
    return this.#slots;
  }

  /** Its capacities besides the slots; one that it does not name has a total of 0 while an attempt takes of it. */
  get capacities(): ReadonlyMap<string, Capacity> {
    return this.#capacities;
  }

  /** Slots that its occupants take, those that are assigned ahead among them. */
  get usedSlots(): number {
    return this.outstanding + this.#extraSlots;
  }

  /** When it came to hold nothing (monotonic); undefined while it holds something. */
  get idleSince(): number | undefined {
    return this.#idleSince;
  }

  /** Slots it may be given now: slots plus prefetch, less those of what it holds and is about to be given. */
  get credit(): number {
    const credit = this.#slotCredit;
    return credit > 0 && !this.#ahead.hasRoom(this.#reserved) ? 0 : credit;
  }

  /** The payload that it has ahead, when only that keeps it from being assigned more. */
  get fullOfBytes(): PayloadShortage | undefined {
    return this.#slotCredit > 0 ? this.#ahead.shortage(this.#reserved) : undefined;
  }

  get #slotCredit(): number {
    return this.#slots + this.#prefetch - this.usedSlots;
  }

  /** Slots in which an attempt given now would start at once. */
  get freeSlots(): number {
    return this.#slots - this.usedSlots;
  }

  /** Attempts that occupy it, those being claimed and those whose handlers outlive a revocation among them. */
  get outstanding(): number {
    return (
      this.#attempts.size -
      this.#committingCount -
      this.#releasedCount +
      this.#reserved +
      this.#lingering.size
    );
  }

  /** Attempts that it holds and whose handlers wait without their slots. */
  get releasedCount(): number {
    return this.#releasedCount;
  }

  /** So many of its attempts wait without their slots that it is assigned no more of their types. */
  get fullOfReleased(): boolean {
    return this.#releasedCount >= MAX_SLOT_RELEASES;
  }

  get occupied(): boolean {
    return this.outstanding > 0;
  }

  get runsAlone(): boolean {
    return this.#aloneCount > 0;
  }

  /** The worker changed how many attempts it runs at once. The classes that it is matched with depend on it. */
  setSlots(slots: number): void {
    this.#slots = slots;
  }

  /** The worker has adapted the limit of a type. True when it is another one. */
  setTypeLimit(type: string, adaptive: AdaptiveLimit): boolean {
    const counted = this.#types.get(type);
    if (!counted) return false;
    const limit = Math.min(counted.bound, adaptive.limit);
    const changed = limit !== counted.limit;
    counted.limit = limit;
    counted.adaptive = adaptive;
    return changed;
  }

  /** True when no change of the type's limit was recorded within this time; it then counts as recorded. */
  mayRecordLimit(type: string, now: number, everyMs: number): boolean {
    const counted = this.#types.get(type);
    if (!counted || now - counted.limitRecordedAt < everyMs) return false;
    counted.limitRecordedAt = now;
    return true;
  }

  /** It turned out to have no handler for the type. */
  forgetType(type: string): void {
    this.#types.delete(type);
  }

  /** Keeps a place for an attempt that is about to be claimed. */
  reserve({ type, alone, requirements }: Occupant): void {
    this.#reserved++;
    this.#count(type, requirements.cost, 1);
    if (alone) this.#aloneCount++;
  }

  /** Gives a kept place back. */
  unreserve({ type, alone, requirements }: Occupant): void {
    this.#reserved--;
    this.#count(type, requirements.cost, -1);
    if (alone) this.#aloneCount--;
  }

  /**
   * Takes an attempt in; `reserved` when a place was kept for it. An older attempt of the task ends: it was requeued,
   * and the answer to its commit has not arrived.
   */
  hold(attempt: Attempt, reserved: boolean): void {
    const older = this.#attempts.get(attempt.taskId);
    if (older) this.#end(older);
    if (reserved) this.#reserved--;
    else {
      this.#count(attempt.type, attempt.cost, 1);
      if (attempt.alone) this.#aloneCount++;
    }
    this.#ahead.add(attempt.bytesAhead);
    this.#attempts.set(attempt.taskId, attempt);
    this.#idleSince = undefined;
  }

  /** Counts the payload of an attempt that it holds and that is to be sent; false when the payload exceeds the limit. */
  takeAhead(attempt: Attempt, bytes: number): boolean {
    if (!this.#ahead.take(bytes)) return false;
    attempt.noteBytesAhead(bytes);
    return true;
  }

  /** The attempt's handler has been called: its payload is no longer ahead. */
  freeAhead(attempt: Attempt): void {
    this.#ahead.free(attempt.bytesAhead);
    attempt.noteBytesAhead(0);
  }

  /**
   * The attempt's end is being written: its place is free although that is not committed yet.
   *
   * @param reported Its worker has sent a result.
   */
  startCommit(attempt: Attempt, reported = false): void {
    const released = attempt.state === "released";
    attempt.startCommit(reported);
    this.freeAhead(attempt);
    this.#committingCount++;
    if (released) this.#countReleased(attempt, -1);
    else this.#occupy(attempt, -1);
  }

  /**
   * The attempt's handler waits, and its place is free; false when it does not run, or more attempts wait than may.
   *
   * @param now Monotonic milliseconds.
   */
  releaseSlot(attempt: Attempt, release: SlotReleaseRecord, now: number): boolean {
    if (attempt.state !== "running") return false;
    if (this.#releasedCount >= MAX_SLOT_RELEASES + this.#slots + this.#prefetch) return false;
    attempt.releaseSlot(release, now);
    this.#occupy(attempt, -1);
    this.#countReleased(attempt, 1);
    return true;
  }

  /** The attempt has its place again, or is to get it before anything new does: more may then be used than the worker has. */
  takeSlot(attempt: Attempt): void {
    attempt.takeSlot();
    this.#countReleased(attempt, -1);
    this.#occupy(attempt, 1);
  }

  /** The database has not taken the attempt's end: its place is not assigned again until it has. */
  occupyAgain(attempt: Attempt, why: string): void {
    if (attempt.state === "ended") return;
    if (attempt.state === "committing") {
      this.#committingCount--;
      this.#count(attempt.type, attempt.cost, 1);
    }
    attempt.holdUp(why);
  }

  /** Forgets an attempt. @param now Monotonic milliseconds. */
  release(attempt: Attempt, now: number): void {
    if (this.#attempts.get(attempt.taskId) !== attempt) return;
    this.#attempts.delete(attempt.taskId);
    this.#noteIdle(now);
    this.#end(attempt);
  }

  /** Its worker may still run an attempt that is no longer its own: the slot is taken until a heartbeat omits it. */
  linger(lingering: Lingering): void {
    const id = formatAttemptId(lingering.key);
    if (this.#lingering.has(id)) return;
    this.#lingering.set(id, lingering);
    this.#count(lingering.type, lingering.cost, 1);
    this.#idleSince = undefined;
  }

  /** The worker has let go of it. @param now Monotonic milliseconds. */
  letGo(id: string, now: number): void {
    const known = this.#lingering.get(id);
    if (!known) return;
    this.#lingering.delete(id);
    this.#count(known.type, known.cost, -1);
    this.#noteIdle(now);
  }

  #end(attempt: Attempt): void {
    if (attempt.state === "committing") this.#committingCount--;
    else if (attempt.state === "released") this.#countReleased(attempt, -1);
    else {
      this.#count(attempt.type, attempt.cost, -1);
      if (attempt.alone && attempt.isOpen) this.#aloneCount--;
    }
    this.freeAhead(attempt);
    attempt.end();
  }

  #occupy(attempt: Attempt, change: 1 | -1): void {
    this.#count(attempt.type, attempt.cost, change);
    if (attempt.alone) this.#aloneCount += change;
  }

  #countReleased({ type }: Attempt, change: 1 | -1): void {
    this.#releasedCount += change;
    const counted = this.#types.get(type);
    if (counted) counted.released += change;
  }

  #noteIdle(now: number): void {
    if (this.#attempts.size + this.#lingering.size === 0) this.#idleSince = now;
  }

  #count(type: string, cost: Cost | undefined, change: 1 | -1): void {
    const counted = this.#types.get(type);
    if (counted) counted.active += change;
    if (cost === undefined) return;
    this.#extraSlots += change * (slotsOf(cost) - 1);
    for (const { name, amount } of cost) if (name !== SLOTS) this.#use(name, change * amount);
  }

  #use(name: string, change: number): void {
    const capacity = this.#capacities.get(name);
    if (capacity === undefined) this.#capacities.set(name, { total: 0, used: change });
    else {
      capacity.used += change;
      // It was never the worker's: the attempt comes from a registration that had it.
      if (capacity.used === 0 && capacity.total === 0) this.#capacities.delete(name);
    }
  }
}
