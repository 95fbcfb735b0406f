/** Set-up and tear-down of a worker and of each task. */
import type { TaskContext } from "../attempt/context.ts";
import type { StartupReporter } from "../run/startup.ts";

/** A step of a tear-down. */
export type Teardown = () => unknown;

/** What `lifespan` is called with. */
export interface LifespanScope {
  /**
   * Adds a step of the tear-down. The steps run in reverse order, each after the one before has ended, also when the set-up
   * throws after it added them.
   */
  readonly defer: (teardown: Teardown) => void;
  /** Reports steps of the set-up; the log and the scheduler show them live. */
  readonly startup: StartupReporter;
  /** Aborts when the worker ends before the set-up has returned. */
  readonly signal: AbortSignal;
}

/** What `taskLifespan` is called with besides the context. */
export interface TaskLifespanScope {
  /** Adds a step of the tear-down, as `LifespanScope.defer` does. */
  readonly defer: (teardown: Teardown) => void;
}

/**
 * Sets a worker up; what it returns is `ctx.services` of every handler. A `[Symbol.asyncDispose]` or `[Symbol.dispose]` of the
 * returned object is the first step of the tear-down.
 */
export type Lifespan<Services> = (scope: LifespanScope) => Services | Promise<Services>;

/** Sets an attempt up; what it returns is `ctx.taskServices` of its handler. Torn down when the handler has ended. */
export type TaskLifespan<Services, TaskServices> = (
  ctx: TaskContext<unknown, Services>,
  scope: TaskLifespanScope,
) => TaskServices | Promise<TaskServices>;

/**
 * Runs around every handler. `next()` runs the rest and returns the result of the handler, or throws what it throws; it may
 * be called once. What the middleware returns replaces the result; `undefined` leaves result or failure as they are.
 */
export type Middleware<Services = unknown> = (
  ctx: TaskContext<unknown, Services>,
  next: () => Promise<unknown>,
) => unknown;
