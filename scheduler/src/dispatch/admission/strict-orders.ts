/** The admission rule of concurrency keys with a strict order: lets no class be searched whose tasks would be turned back. */
import { formatTaskId } from "../../domain/ids.ts";
import type { TaskClass } from "../../domain/matching/match.ts";
import { isStrict, type OrderState } from "../../domain/tasks/limits/concurrency.ts";
import type { ConcurrencyStore, WaitingTask } from "../../store/store.ts";
import type { AdmissionRule, HoldReason, TaskRule } from "./rule.ts";

/** The order of a key, as far as is known. */
interface KnownOrder {
  /** Id of the task that goes first, as of the last claim or poll. */
  readonly first: number;
  /** Classes that it holds back: their tasks are newer. */
  readonly waiting: Set<number>;
  reason: HoldReason | undefined;
}

/**
 * Holds back the classes whose first task is newer than the one that goes first for a key. The store decides each claim;
 * this rule only keeps this scheduler from asking in vain. A key of which nothing is known holds nothing back: the next
 * claim brings the task that goes first, which is then put into the window of its class.
 */
export class StrictOrders implements AdmissionRule {
  readonly unparks = true;
  readonly tasks: TaskRule;
  readonly #parts: StrictOrdersParts;
  readonly #known = new Map<string, KnownOrder>();

  constructor(parts: StrictOrdersParts) {
    this.#parts = parts;
    this.tasks = {
      concerns: ({ concurrency }) => isStrict(concurrency),
      // The class is asked before each task of it.
      holdReason: () => undefined,
      acquire: () => undefined,
      release: ({ taskId, taskClass }, path) => {
        // What goes after a task that has ended is known from its claim. On other paths it may wait again.
        if (path !== "finished") this.changed(taskClass);
        else this.#eachKey(taskClass, (key) => this.#known.get(key)?.first === taskId && this.#forget(key));
      },
    };
  }

  holdReason({ id, concurrency }: TaskClass): HoldReason | undefined {
    if (concurrency === undefined || this.#known.size === 0) return undefined;
    for (const { key, strict } of concurrency) {
      const known = strict && this.#known.get(key);
      if (!known) continue;
      const front = this.#parts.frontOf(id);
      if (front === undefined || front <= known.first) continue;
      known.waiting.add(id);
      known.reason ??= behind(key, known.first);
      return known.reason;
    }
    return undefined;
  }

  /** The task is about to be claimed: others of its keys go after it. */
  plan(taskClass: TaskClass, taskId: number): void {
    this.#eachKey(taskClass, (key) => {
      const known = this.#known.get(key);
      // What it holds back is newer still.
      if (known?.first !== taskId)
        this.#known.set(key, { first: taskId, waiting: known?.waiting ?? new Set(), reason: undefined });
    });
  }

  /** Takes over which tasks go first. */
  learn(orders: readonly OrderState[]): void {
    for (const { key, first } of orders) {
      if (first === undefined) this.#forget(key);
      else {
        this.#set(key, first.id);
        if (first.ready) this.#parts.enqueue(first);
      }
    }
  }

  /** Another task may go first for the keys of this class: it was put back, ended or woke up. */
  changed(taskClass: TaskClass): void {
    this.#eachKey(taskClass, (key) => this.#forget(key));
  }

  /** A task of the class ended while it waited: a later one may go first. */
  waitEnded(taskClass: TaskClass): void {
    if (!isStrict(taskClass.concurrency)) return;
    this.changed(taskClass);
    this.#parts.onWaitEnded(taskClass);
  }

  /**
   * Reads which tasks go first for the keys that hold classes back, which can change without a hint.
   *
   * @throws DatabaseUnavailableError
   */
  async refresh(store: Pick<ConcurrencyStore, "keyOrders">): Promise<void> {
    const before = new Map<string, KnownOrder>();
    for (const [key, known] of this.#known) {
      if (known.waiting.size > 0) before.set(key, known);
      else this.#known.delete(key);
    }
    const orders = await store.keyOrders([...before.keys()]);
    // What a claim found meanwhile is newer.
    this.learn(orders.filter(({ key }) => this.#known.get(key) === before.get(key)));
  }

  /** Keys of which it is known which task goes first. */
  get size(): number {
    return this.#known.size;
  }

  #eachKey({ concurrency }: TaskClass, change: (key: string) => void): void {
    for (const { key, strict } of concurrency ?? []) if (strict) change(key);
  }

  #set(key: string, first: number): void {
    if (this.#known.get(key)?.first === first) return;
    this.#forget(key);
    this.#known.set(key, { first, waiting: new Set(), reason: undefined });
  }

  /** The classes that it held back are asked about again. */
  #forget(key: string): void {
    const known = this.#known.get(key);
    if (!known) return;
    this.#known.delete(key);
    this.#parts.unpark(known.waiting);
  }
}

/** What the rule works with. */
export interface StrictOrdersParts {
  /** Called with the classes that a key held back when it may admit them. */
  readonly unpark: (classIds: Iterable<number>) => void;
  /** Id of the first task of a class that this scheduler has in memory. */
  readonly frontOf: (classId: number) => number | undefined;
  /** Called when a task of this class, which has a strict order, ended while it waited. */
  readonly onWaitEnded: (taskClass: TaskClass) => void;
  /** Called with a task that goes first and is ready. */
  readonly enqueue: (task: WaitingTask) => void;
}

function behind(key: string, first: number): HoldReason {
  const detail = `the concurrency key ${JSON.stringify(key)} starts its tasks in the order of their submission, and ${formatTaskId(first)} goes first`;
  return { code: "OLDER_TASK_FIRST", name: "older_task", detail };
}
