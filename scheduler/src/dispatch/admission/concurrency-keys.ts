/** The admission rule of concurrency keys: plans by what is known of each key, so that few claims are turned back. */
import type { TaskClass } from "../../domain/matching/match.ts";
import { circuitDetail, circuitOfLock } from "../../domain/tasks/limits/circuit.ts";
import type { KeyState } from "../../domain/tasks/limits/concurrency.ts";
import type { ConcurrencyStore } from "../../store/store.ts";
import type { ReleasePath } from "./release-path.ts";
import type { Acquired, AdmissionRule, HoldReason, TaskRule } from "./rule.ts";

/** What is known of a key. */
interface KnownKey {
  /** Tasks of this scheduler that hold it, those in claims under way among them. */
  own: number;
  /**
   * Tasks of other schedulers that hold it, as far as is known. Too few cost a claim that is turned back. Less than 0 when
   * the store counts fewer than this scheduler: another one has ended attempts that it does not know of yet.
   */
  others: number;
  /** A class that has it was held back since the last refresh. */
  blocked: boolean;
  override: number | undefined;
  /** Place of its last release here among all releases. */
  releasedAt: number;
  /** For the limit that was asked last. */
  reason: (HoldReason & { readonly limit: number }) | undefined;
  /** Classes that it held back since it last may have become free. */
  waiting: Set<number> | undefined;
}

/** Paths after which the store counts the task no longer. */
const FREES: ReadonlySet<ReleasePath> = new Set([
  "finished",
  "requeued",
  "stale",
  "not_resumed",
  "overtaken",
]);

/**
 * Holds back the classes of which a key is held by as many tasks as its limit allows. The store decides each claim by
 * the counts of all schedulers; this rule only keeps this scheduler from asking in vain. What it knows of the others is
 * as of the last claim, and is forgotten with every hint of theirs and read again with every poll.
 */
export class ConcurrencyKeys implements AdmissionRule {
  readonly unparks = true;
  readonly tasks: TaskRule;
  readonly #onFreed: (taskClass: TaskClass) => void;
  readonly #unpark: (classIds: Iterable<number>) => void;
  readonly #known = new Map<string, KnownKey>();
  #releases = 0;
  /** How many releases there were at the last sweep. */
  #sweptAt = 0;

  /**
   * @param onFreed Called when an attempt of this class freed its keys.
   * @param unpark Called with the classes that a key held back when it may admit them.
   */
  constructor(onFreed: (taskClass: TaskClass) => void, unpark: (classIds: Iterable<number>) => void) {
    this.#onFreed = onFreed;
    this.#unpark = unpark;
    this.tasks = {
      concerns: ({ concurrency }) => concurrency !== undefined,
      // The class is asked before each task of it.
      holdReason: () => undefined,
      acquire: ({ taskClass }) => this.#acquire(taskClass),
      release: (acquired, path) => this.#release(acquired, path),
    };
  }

  holdReason({ id, concurrency }: TaskClass): HoldReason | undefined {
    if (concurrency === undefined) return undefined;
    for (const { key, limit: own } of concurrency) {
      const known = this.#known.get(key);
      if (!known) continue;
      const limit = known.override ?? own;
      if (known.own + known.others < limit) continue;
      for (const other of concurrency) this.#of(other.key).blocked = true;
      if (known.reason?.limit !== limit) known.reason = held(key, limit);
      known.waiting ??= new Set();
      known.waiting.add(id);
      return known.reason;
    }
    return undefined;
  }

  /** Marks the begin of a read of the store: what is released from here on may not be in its answer. */
  mark(): number {
    return this.#releases;
  }

  /**
   * Takes over what the store counts.
   *
   * @param since The mark of the read.
   * @param least A claim under way counts as this scheduler's before the store has it: after a claim, a count below this
   * scheduler's own is taken for that.
   */
  learn(states: readonly KeyState[], since: number, least = 0): void {
    for (const { key, held: count, override } of states) {
      const known = this.#of(key);
      const before = known.others;
      this.#setOverride(known, override);
      // After a release meanwhile nothing is known: the next claim finds out.
      known.others = known.releasedAt > since ? 0 : Math.max(least, count - known.own);
      if (known.others < before) this.#mayAdmit(known);
    }
  }

  /** Another scheduler freed keys of this class, or may have: they are asked for again. */
  freedElsewhere({ concurrency }: TaskClass): void {
    for (const { key } of concurrency ?? []) {
      const known = this.#known.get(key);
      if (!known) continue;
      known.others = 0;
      this.#mayAdmit(known);
    }
  }

  /** The store freed keys of this class for an attempt that this scheduler may not have counted. */
  freed(taskClass: TaskClass): void {
    this.freedElsewhere(taskClass);
    this.#onFreed(taskClass);
  }

  /**
   * Reads what the store counts of the keys that hold classes back, which can change without a hint, and the limits of
   * operators.
   *
   * @param limits False when it is known that no key has a limit of an operator or a circuit: then nothing is read unless a
   * key holds a class back.
   * @throws DatabaseUnavailableError
   */
  async refresh(store: Pick<ConcurrencyStore, "keyStates">, limits = true): Promise<void> {
    const blocked: string[] = [];
    for (const [key, known] of this.#known) {
      if (known.blocked) blocked.push(key);
      known.blocked = false;
    }
    const mark = this.mark();
    const states = limits || blocked.length > 0 ? await store.keyStates(blocked) : [];
    this.setOverrides(states);
    this.learn(states, mark, Number.NEGATIVE_INFINITY);
    this.#sweep();
  }

  /** Takes over the operator's limits: all that there are. */
  setOverrides(states: readonly KeyState[]): void {
    const limits = new Map(
      states.flatMap(({ key, override }) => (override === undefined ? [] : [[key, override]])),
    );
    for (const [key, known] of this.#known) this.#setOverride(known, limits.get(key));
    for (const [key, override] of limits) this.#setOverride(this.#of(key), override);
  }

  #setOverride(known: KnownKey, override: number | undefined): void {
    if (known.override === override) return;
    known.override = override;
    this.#mayAdmit(known);
  }

  /** Fewer tasks hold the key, or its limit changed: the classes that it held back are asked about again. */
  #mayAdmit(known: KnownKey): void {
    const { waiting } = known;
    if (waiting === undefined) return;
    known.waiting = undefined;
    this.#unpark(waiting);
  }

  /**
   * Forgets the keys of which nothing is known: keys may be as many as customers. One that was released since the last
   * sweep is kept, because a read that is under way may have counted it before.
   */
  #sweep(): void {
    for (const [key, { own, others, override, releasedAt }] of this.#known) {
      const isIdle = own === 0 && others === 0 && override === undefined;
      if (isIdle && releasedAt <= this.#sweptAt) this.#known.delete(key);
    }
    this.#sweptAt = this.#releases;
  }

  /** Keys of which something is known: mostly those that tasks hold. */
  get size(): number {
    return this.#known.size;
  }

  #of(key: string): KnownKey {
    const known = this.#known.get(key);
    if (known) return known;
    const made: KnownKey = {
      own: 0,
      others: 0,
      blocked: false,
      override: undefined,
      releasedAt: 0,
      reason: undefined,
      waiting: undefined,
    };
    this.#known.set(key, made);
    return made;
  }

  #acquire({ concurrency }: TaskClass): void {
    for (const { key } of concurrency ?? []) this.#of(key).own++;
  }

  #release({ taskClass }: Acquired, path: ReleasePath): void {
    const frees = FREES.has(path);
    if (frees) this.#releases++;
    for (const { key } of taskClass.concurrency ?? []) {
      const known = this.#of(key);
      known.own--;
      if (frees) known.releasedAt = this.#releases;
      else if (known.others < 0) known.others++;
      this.#mayAdmit(known);
    }
    if (frees) this.#onFreed(taskClass);
  }
}

function held(key: string, limit: number): HoldReason & { readonly limit: number } {
  const circuit = circuitOfLock(key);
  if (circuit !== undefined)
    return { code: "CIRCUIT_OPEN", name: "circuit", detail: circuitDetail(circuit, limit), limit };
  const detail =
    limit === 0
      ? `the limit of the concurrency key ${JSON.stringify(key)} is 0`
      : `the concurrency key ${JSON.stringify(key)} is held by as many tasks as its limit of ${limit} allows`;
  return { code: "CONCURRENCY_KEY_HELD", name: "concurrency_key", detail, limit };
}
