/** What a producer gives with a task. */

/**
 * When a failed attempt is followed by another.
 *
 * @example
 * ```ts
 * await client.submit("ocr.page", page, { retry: { maxRetries: 5, exponential: { initialS: 1, jitter: 0.2 } } });
 * ```
 */
export interface RetryOptions {
  /** Attempts after the first one, 0 to 1000. @default that of the queue, else the scheduler's, which is 3 */
  readonly maxRetries?: number;
  /**
   * Delays in seconds before retry 1, 2, ...; the last one repeats. Excludes `exponential`. @default those of the queue,
   * else the scheduler's, which are 60, 300 and 1800
   */
  readonly delaysS?: readonly number[];
  /** A delay that grows with every retry. Excludes `delaysS`. @default that of the queue, else the scheduler's */
  readonly exponential?: {
    /** First delay in seconds, more than 0. */
    readonly initialS: number;
    /** Factor from one delay to the next, 1 to 100. @default 2 */
    readonly factor?: number;
    /** Longest delay in seconds. @default 3600 */
    readonly maxS?: number;
    /** Share of the delay that is random, 0 to 1. @default 0 */
    readonly jitter?: number;
  };
  /**
   * Delays in seconds after the first, second, ... attempt that was lost with its worker: its process died, was killed or
   * stopped answering while the task ran. The last one repeats. @default those of the queue, else the scheduler's: none
   */
  readonly lostDelaysS?: readonly number[];
  /** Retries after the worker ran out of memory, 0 to 1000. @default 1 */
  readonly maxOutOfMemory?: number;
  /** Whether an attempt that passed `timeouts.runS` or that of a phase is retried, too. @default true */
  readonly retryTimeouts?: boolean;
  /** What the task needs from the next attempt on when its worker ran out of memory. @default what it needed before */
  readonly onOutOfMemory?: OutOfMemoryOptions;
}

/**
 * A change of what a task needs, with each attempt whose worker ran out of memory. It applies when the task is known as the
 * cause: its worker named it, or it was the only one that ran there.
 *
 * @example
 * ```ts
 * await client.submit("model.train", data, {
 *   cost: { memory_mb: 4_000 },
 *   retry: { maxOutOfMemory: 3, onOutOfMemory: { cost: { memory_mb: { by: "x2", max: 24_000 } } } },
 * });
 * ```
 */
export interface OutOfMemoryOptions {
  /** Labels that a worker must have, beside those of `requires` or in place of their values; at most 32. @default none */
  readonly labels?: Readonly<Record<string, string>>;
  /** How the amounts of `cost` grow, by the name of the capacity. @default they stay */
  readonly cost?: Readonly<Record<string, CostRaise>>;
}

/**
 * How an amount of a task's cost grows: `"x2"` by a factor, more than 1 and at most 100, rounded up; `"+4000"` by an
 * addition. With `max` it grows up to this amount.
 */
export type CostRaise = CostGrowth | { readonly by: CostGrowth; readonly max?: number };

/** A factor or an addition, for example `"x1.5"` or `"+4000"`. */
export type CostGrowth = `x${number}` | `+${number}`;

/**
 * A unique key: a queue has at most one task that holds it.
 *
 * @example
 * ```ts
 * // Debounce: of the submits within 5 s, the last one runs.
 * await client.submit("index.site", site, { delayS: 5, unique: { key: site.id, onConflict: "replace" } });
 * ```
 */
export interface UniqueOptions {
  /** The key, at most 512 bytes. */
  readonly key: string;
  /**
   * States of the task that hold the key: `queued` (it waits, also for its time or a retry), `active` (assigned or
   * running), `open` (both), `openOrSucceeded`, or `recorded` (every state, for as long as its record is kept). The task
   * that holds a key decides this, not the one that is submitted.
   * @default `openOrSucceeded`, and `queued` with `onConflict: "replace"`
   */
  readonly while?: "queued" | "active" | "open" | "openOrSucceeded" | "recorded";
  /**
   * Seconds after its creation for which the task holds the key in any state, more than 0 and up to 366 days.
   * @default none
   */
  readonly windowS?: number;
  /**
   * What becomes of this submit when another task holds the key: `return` gives a handle of that task, `replace` gives it
   * what this submit asks for when it is queued and has the same type and requirements, `refuse` throws. `replace`
   * throws when it cannot replace the task.
   * @default `return`
   */
  readonly onConflict?: "return" | "replace" | "refuse";
}

/**
 * A concurrency key: at most `limit` tasks with the same key are assigned or running at once, on all workers and in all
 * queues.
 *
 * @example
 * ```ts
 * await client.submit("report.build", order, { concurrency: [{ key: `customer-${order.customer}`, limit: 1 }] });
 * ```
 */
export interface ConcurrencyKey {
  /** Name of what the tasks share, 1 to 256 bytes without control characters. */
  readonly key: string;
  /** The task waits while so many tasks hold the key, an integer from 1 to 1,000,000; with another policy to 1,000. */
  readonly limit: number;
  /**
   * What becomes of tasks when the limit is reached. `queue`: the new task waits. `cancelNewest`: when so many tasks with the
   * key are open, the new task ends at once as cancelled. `cancelRunning`: of the open tasks that have the key with this
   * policy, the oldest are cancelled until at most `limit` are left with the new one, which starts when they have ended.
   *
   * @default queue
   */
  readonly onLimit?: "queue" | "cancelNewest" | "cancelRunning";
  /**
   * `strict`: the tasks that have the key with it start in the order of their ids, that of their submission, whatever their
   * queues, types and priorities. None starts while an older one waits, whatever that one waits for, such as a worker, its
   * time, its retry or a paused queue. With a limit of 1 each starts when all older ones have ended. Tasks that have the key
   * without it share only its limit.
   *
   * @default none
   */
  readonly order?: "strict";
}

/**
 * A rate limit: a token bucket that all tasks with the same key share, on all workers and in all queues. It holds up to
 * `burst` tokens and gets `limit` new ones in every period. Each start of a task, also that of a retry, takes one.
 *
 * @example
 * ```ts
 * await client.submit("mail.send", mail, { rateLimits: [{ key: "smtp", limit: 100, periodS: 60, burst: 10 }] });
 * ```
 */
export interface RateLimit {
  /** Name of what the tasks share, 1 to 256 bytes without control characters. */
  readonly key: string;
  /** Starts in a period, an integer from 1 to 1,000,000. */
  readonly limit: number;
  /** The period in seconds, from 1 to 366 days. */
  readonly periodS: number;
  /** Tokens that the bucket holds when nothing started for long, an integer from 1 to 1,000,000. @default `limit` */
  readonly burst?: number;
}

/**
 * A circuit breaker: while the tasks that share its key fail too often, no further one starts, on all workers and in all
 * queues. Then single tasks probe whether it works again. Successes, failures and passed run timeouts of handlers count;
 * cancellations, releases and lost workers do not.
 *
 * @example
 * ```ts
 * await client.submit("card.charge", card, { circuit: { key: "provider-a", failureRate: 0.3, openForS: 60 } });
 * ```
 */
export interface CircuitOptions {
  /** What the tasks share, up to 256 bytes without control characters. @default the task's type */
  readonly key?: string;
  /** The circuit opens when this share of the results in the window are failures, more than 0 and up to 1. @default 0.5 */
  readonly failureRate?: number;
  /** How long a result counts, in seconds, 1 to 86,400. @default 60 */
  readonly windowS?: number;
  /** Results in the window below which it stays closed, an integer from 1 to 100,000. @default 10 */
  readonly minSamples?: number;
  /** Seconds from its opening to the first probe, 1 to 86,400; doubled with each probe that fails. @default 30 */
  readonly openForS?: number;
  /** Longest such time in seconds, `openForS` to 604,800. @default 600, or `openForS` when that is longer */
  readonly maxOpenForS?: number;
  /** Tasks that may probe at once, an integer from 1 to 100. So many successes close it, one failure opens it. @default 1 */
  readonly probes?: number;
}

/**
 * A task that the submitted one waits for. When it ends and the condition is not met, the submitted task ends with
 * `DEPENDENCY_FAILED`: as failed when the other one failed, as cancelled when it was cancelled.
 *
 * @example
 * ```ts
 * const pages = await client.submitMany(urls.map((url) => ({ type: "ocr.page", payload: { url } })));
 * await client.submit("ocr.merge", book, { after: pages.map((task) => ({ task })) });
 * ```
 */
export interface TaskDependency {
  /** The task: its id or its handle. Excludes `entry`. @default none: then `entry` names it */
  readonly task?:
    | string
    | {
        /** Id of the task. */
        readonly id: string;
      };
  /** With `submitMany`, an earlier task of the same call by its position from 0. Excludes `task`. @default none: then `task` names it */
  readonly entry?: number;
  /** Which end lets the submitted task start: a success, or any. @default succeeded */
  readonly when?: "succeeded" | "ended";
}

/**
 * A fairness key: the keys of a queue that have waiting tasks take turns by their weights, so that a bulk of one does not
 * delay the others.
 *
 * @example
 * ```ts
 * await client.submit("report.build", order, { fairness: { key: `tenant-${order.tenant}` } });
 * ```
 */
export interface FairnessKey {
  /** Name of what gets the share, 1 to 256 bytes without control characters. */
  readonly key: string;
  /** Share among the keys of the queue, an integer from 1 to 1,000. @default 1 */
  readonly weight?: number;
}

/**
 * Options of a submit.
 *
 * @example
 * ```ts
 * await client.submit("ocr.page", page, { queue: "nightly", priority: 10, timeouts: { runS: 600 } });
 * ```
 */
export interface SubmitOptions {
  /** Queue of the task. @default `default` */
  readonly queue?: string;
  /** Priority, an integer from -1000 to 1000; of the tasks of one queue and fairness key higher runs first. @default 0 */
  readonly priority?: number;
  /** Earliest start, in seconds after the submit, up to 366 days. Excludes `runTime`. @default 0 */
  readonly delayS?: number;
  /** Earliest start, by the clock of the scheduler. Excludes `delayS`. @default now */
  readonly runTime?: Date;
  /**
   * Key that at most one task of a queue holds, as `unique: { key }`: while it is open or has succeeded, a later submit
   * returns a handle of that task. Excludes `unique`. @default none
   */
  readonly uniqueKey?: string;
  /** Unique key with its rule. Excludes `uniqueKey`. @default none */
  readonly unique?: UniqueOptions;
  /**
   * Keys that the task holds from its assignment to the end of its attempt, at most 8. It waits until each of them is held
   * by fewer tasks than its limit. @default none
   */
  readonly concurrency?: readonly ConcurrencyKey[];
  /** Fairness key by which the tasks of the queue take turns. @default none */
  readonly fairness?: FairnessKey;
  /** Rate limits, at most 8. The task waits until each of them has a token for it. @default none */
  readonly rateLimits?: readonly RateLimit[];
  /** Circuit breaker; `{}` is one for the task's type with the defaults. @default none */
  readonly circuit?: CircuitOptions;
  /**
   * Tasks that it waits for, at most 100: it starts when each of them has ended as its `when` asks. `delayS`, `runTime` and
   * `timeouts.queueWaitS` begin then. Not together with `unique.onConflict: "replace"`. @default none
   *
   * @example
   * ```ts
   * const [fetched] = await client.submitMany([
   *   { type: "page.fetch", payload: { url } },
   *   { type: "page.index", after: [{ entry: 0 }] },
   *   { type: "page.clean", after: [{ entry: 1, when: "ended" }] },
   * ]);
   * ```
   */
  readonly after?: readonly TaskDependency[];
  /** Batch that it becomes a member of: its id. @default none */
  readonly batchId?: string;
  /**
   * Names by which lists of tasks find it, at most 8, each of up to 128 letters, digits and `. _ : / -`. They change nothing
   * about where and when it runs. @default none
   *
   * @example
   * ```ts
   * await client.submit("ocr.page", page, { tags: ["import-17", "customer:acme"] });
   * const { tasks } = await client.tasks.listTasks({ tags: ["import-17"] });
   * ```
   */
  readonly tags?: readonly string[];
  /**
   * Task that this one is a child of, by its id: it gets the tag `parent:ID`, one of the 8, and `client.children(ID)` lists it.
   * `ctx.submit` sets it. @default none
   */
  readonly parent?: string;
  /** Media type of the payload. @default `application/json`, for bytes `application/octet-stream` */
  readonly contentType?: string;
  /** Headers, passed to the worker unchanged. @default none */
  readonly headers?: Readonly<Record<string, string>>;
  /** Labels and resources that a worker must have to run the task. @default none */
  readonly requires?: {
    /** Values of labels by name, at most 64. @default none */
    readonly labels?: Readonly<Record<string, string>>;
    /** Names of resources that the worker must have loaded, at most 64. @default none */
    readonly resources?: readonly string[];
  };
  /**
   * What the task takes of its worker's capacities from its assignment to the end of its attempt: `slots`, and any of the
   * worker's option `capacities`. At most 16 whole amounts, up to 10^12; 0 is the same as none. A worker that does not name
   * a capacity has none of it. @default one slot
   *
   * @example
   * ```ts
   * await client.submit("train", data, { cost: { slots: 2, gpu_memory_mb: 16_000 } });
   * ```
   */
  readonly cost?: Readonly<Record<string, number>>;
  /** Retry policy. @default 3 retries with the scheduler's delays */
  readonly retry?: RetryOptions;
  /**
   * Iterations that all attempts of the task may begin together, as its handler counts them with `ctx.iteration()`: 1 to
   * 1,000,000,000. Then the task ends as failed with `BUDGET_EXHAUSTED`. @default no limit
   */
  readonly maxIterations?: number;
  /**
   * Hard timeouts in seconds, more than 0 and up to 366 days. An attempt that passed one is retried, unless
   * `retry.retryTimeouts` is false. @default none
   */
  readonly timeouts?: {
    /** Longest wait for a worker; then the task fails. */
    readonly queueWaitS?: number;
    /** Longest run of an attempt; then the attempt is aborted and fails. */
    readonly runS?: number;
    /** Longest phase of an attempt, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
  /**
   * Thresholds of the soft watchdogs in seconds, which warn and end nothing; 0 means never. @default the scheduler's
   */
  readonly watchdogs?: {
    /** Longest time without a phase, progress or output. */
    readonly runS?: number;
    /** Longest phase, by the name of the phase. */
    readonly phasesS?: Readonly<Record<string, number>>;
  };
}

/** One task of `Client.submitMany`. */
export interface SubmitSpec extends SubmitOptions {
  /** Task type. */
  readonly type: string;
  /** Input: bytes are sent as they are, anything else as JSON. @default `null` */
  readonly payload?: unknown;
}
