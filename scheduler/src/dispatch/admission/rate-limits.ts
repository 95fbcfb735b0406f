/** The admission rule of rate limits: plans by what is known of each token bucket, and wakes when the next token comes. */
import type { Clock } from "../../clock.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import {
  type BucketState,
  queueOfRateKey,
  type Rate,
  rateId,
  tokenCount,
  tokenIntervalMs,
  untilTokenMs,
} from "../../domain/tasks/limits/rate-limit.ts";
import type { RateLimitStore } from "../../store/store.ts";
import type { AdmissionRule, HoldReason } from "./rule.ts";

/** A bucket as of the last claim or read that had it. */
interface KnownBucket {
  readonly rate: Rate;
  /** When it is full, monotonic milliseconds of this scheduler. */
  readonly fullAt: number;
}

interface KnownKey {
  readonly buckets: Map<string, KnownBucket>;
  /** The operator's. */
  override: KnownBucket | undefined;
  /** Starts in claims under way, which the buckets do not have yet. */
  planned: number;
  /** Until then the key is paused, monotonic milliseconds. */
  pausedUntil: number;
  /** Classes that it held back since it last may have become free, and when the first of them may be admitted. */
  waiting: Set<number> | undefined;
  dueAt: number;
  reason: HoldReason | undefined;
}

/** Two looks for due tokens are at least so far apart, milliseconds: a look goes through the keys. */
const LOOK_APART_MS = 5;

/** Longest timer: one of `setTimeout` has 31 bits. */
const LONGEST_MS = 3_600_000;

/**
 * Holds back the classes of which a bucket is empty. The store decides each claim under the lock of the buckets; this rule
 * only keeps this scheduler from asking in vain. What it knows is as of the last claim: other schedulers may have taken
 * tokens since, which costs a claim that is turned back and brings the exact state. All times are durations of the
 * database's clock, counted on by the monotonic clock of this scheduler.
 */
export class RateLimits implements AdmissionRule {
  readonly unparks = true;
  readonly #clock: Pick<Clock, "monotonic" | "after">;
  readonly #unpark: (classIds: Iterable<number>) => void;
  readonly #onDue: () => void;
  readonly #known = new Map<string, KnownKey>();
  /** The key of the bucket of each queue that has a rate. */
  #queueKeys: ReadonlyMap<string, string> = new Map();
  #wakeAt = Number.POSITIVE_INFINITY;
  #wokeAt = Number.NEGATIVE_INFINITY;
  #cancel: (() => void) | undefined;

  /**
   * @param parts.unpark Called with the classes that a key held back when it may admit them.
   * @param parts.onDue Called when a bucket that held a class back has a token.
   */
  constructor(parts: {
    readonly clock: Pick<Clock, "monotonic" | "after">;
    readonly unpark: (classIds: Iterable<number>) => void;
    readonly onDue: () => void;
  }) {
    this.#clock = parts.clock;
    this.#unpark = parts.unpark;
    this.#onDue = parts.onDue;
  }

  /** Whether a claim of tasks of this class takes tokens. */
  concerns({ rateLimits, queue }: TaskClass): boolean {
    return rateLimits !== undefined || (this.#queueKeys.size > 0 && this.#queueKeys.has(queue));
  }

  holdReason(taskClass: TaskClass): HoldReason | undefined {
    if (!this.concerns(taskClass)) return undefined;
    const now = this.#clock.monotonic();
    const { id, rateLimits = [], queue } = taskClass;
    for (const limit of rateLimits) {
      const reason = this.#reasonOf(id, limit.key, limit, now);
      if (reason) return reason;
    }
    const queueKey = this.#queueKeys.get(queue);
    return queueKey === undefined ? undefined : this.#reasonOf(id, queueKey, undefined, now);
  }

  /** @param own The task's own rate; undefined for a queue. */
  #reasonOf(classId: number, key: string, own: Rate | undefined, now: number): HoldReason | undefined {
    const known = this.#known.get(key);
    if (!known) return undefined;
    if (known.pausedUntil > now) {
      this.#wait(known, classId, known.pausedUntil);
      return { code: "KEY_PAUSED", name: "key_paused", detail: `${nameOf(key)} is paused` };
    }
    const rate = known.override?.rate ?? own;
    if (!rate) return undefined;
    const bucket = known.override ?? known.buckets.get(rateId(rate));
    const debtMs = Math.max(0, (bucket?.fullAt ?? now) - now) + known.planned * tokenIntervalMs(rate);
    if (tokenCount(rate, debtMs) > 0) return undefined;
    this.#wait(known, classId, now + untilTokenMs(rate, debtMs));
    known.reason ??= { code: "RATE_LIMITED", name: "rate_limit", detail: `${nameOf(key)} has no token left` };
    return known.reason;
  }

  /** A task of this class is being claimed; returns the keys that it needs a token of, undefined for none. */
  plan(taskClass: TaskClass): readonly string[] | undefined {
    if (!this.concerns(taskClass)) return undefined;
    const keys = (taskClass.rateLimits ?? []).map(({ key }) => key);
    const queueKey = this.#queueKeys.get(taskClass.queue);
    if (queueKey !== undefined) keys.push(queueKey);
    for (const key of keys) this.#of(key).planned++;
    return keys;
  }

  /** The claim of a planned task was answered, or failed. */
  settle(keys: readonly string[]): void {
    for (const key of keys) {
      const known = this.#of(key);
      known.planned--;
      this.#mayAdmit(known);
    }
  }

  /** Takes over the buckets of a claim. */
  learn(states: readonly BucketState[]): void {
    const now = this.#clock.monotonic();
    for (const { key, overrides, debtMs, pausedMs, limit, periodMs, burst } of states) {
      const known = this.#of(key);
      known.pausedUntil = now + pausedMs;
      const bucket = { rate: { limit, periodMs, burst }, fullAt: now + debtMs };
      if (overrides) known.override = bucket;
      else known.buckets.set(rateId(bucket.rate), bucket);
      this.#mayAdmit(known);
    }
  }

  /** A key was paused for so long by this scheduler's worker. */
  pause(key: string, leftMs: number): void {
    this.#of(key).pausedUntil = this.#clock.monotonic() + leftMs;
  }

  /**
   * Reads the rates of operators and of queues and the pauses, and forgets buckets that are full.
   *
   * @throws DatabaseUnavailableError
   */
  async refresh(store: Pick<RateLimitStore, "pausedKeys" | "rateOverrides">): Promise<void> {
    this.#take(await store.rateOverrides(), await store.pausedKeys());
  }

  /** The same as a read that finds neither a rate of operators or queues nor a pause. */
  refreshEmpty(): void {
    this.#take([], []);
  }

  #take(
    overrides: readonly BucketState[],
    paused: readonly { readonly key: string; readonly leftMs: number }[],
  ): void {
    const keys = new Set(overrides.map(({ key }) => key));
    this.#queueKeys = new Map(
      overrides.flatMap(({ key }) => {
        const queue = queueOfRateKey(key);
        return queue === undefined ? [] : [[queue, key]];
      }),
    );
    for (const [key, known] of this.#known) if (!keys.has(key)) known.override = undefined;
    this.learn(overrides);
    const now = this.#clock.monotonic();
    for (const known of this.#known.values()) {
      known.pausedUntil = 0;
      this.#mayAdmit(known);
    }
    for (const { key, leftMs } of paused) this.#of(key).pausedUntil = now + leftMs;
    for (const [key, { buckets, override, planned, pausedUntil }] of this.#known) {
      for (const [id, { fullAt }] of buckets) if (fullAt <= now) buckets.delete(id);
      if (buckets.size === 0 && override === undefined && planned === 0 && pausedUntil <= now)
        this.#known.delete(key);
    }
  }

  /** Keys that are paused, as the last read and the pauses since have it. */
  get pausedCount(): number {
    const now = this.#clock.monotonic();
    let count = 0;
    for (const { pausedUntil } of this.#known.values()) if (pausedUntil > now) count++;
    return count;
  }

  /** Keys of which something is known. */
  get size(): number {
    return this.#known.size;
  }

  #of(key: string): KnownKey {
    const known = this.#known.get(key);
    if (known) return known;
    const made = {
      buckets: new Map(),
      override: undefined,
      planned: 0,
      pausedUntil: 0,
      waiting: undefined,
      dueAt: 0,
      reason: undefined,
    };
    this.#known.set(key, made);
    return made;
  }

  #wait(known: KnownKey, classId: number, dueAt: number): void {
    known.dueAt = known.waiting === undefined ? dueAt : Math.min(known.dueAt, dueAt);
    known.waiting ??= new Set();
    known.waiting.add(classId);
    this.#wake(known.dueAt);
  }

  /** The classes that the key held back are asked about again. */
  #mayAdmit(known: KnownKey): void {
    const { waiting } = known;
    if (waiting === undefined) return;
    known.waiting = undefined;
    this.#unpark(waiting);
  }

  /** Has the classes asked about again whose token came, and waits for the next. */
  #look(): void {
    const now = this.#clock.monotonic();
    let next = Number.POSITIVE_INFINITY;
    for (const known of this.#known.values()) {
      if (known.waiting === undefined) continue;
      if (known.dueAt <= now) this.#mayAdmit(known);
      else next = Math.min(next, known.dueAt);
    }
    if (next < Number.POSITIVE_INFINITY) this.#wake(next);
    this.#onDue();
  }

  /** One timer for the earliest token. */
  #wake(dueAt: number): void {
    const at = Math.max(dueAt, this.#wokeAt + LOOK_APART_MS);
    if (at >= this.#wakeAt) return;
    this.#cancel?.();
    this.#wakeAt = at;
    const ms = Math.min(LONGEST_MS, Math.max(0, Math.ceil(at - this.#clock.monotonic())));
    this.#cancel = this.#clock.after(ms, () => {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#wokeAt = this.#clock.monotonic();
      this.#look();
    });
  }
}

function nameOf(key: string): string {
  const queue = queueOfRateKey(key);
  return queue === undefined ? `the rate limit ${JSON.stringify(key)}` : `the rate limit of queue ${queue}`;
}
