/** Puts middleware, the lifespan of a task and its handler together to one handler. */
import type { Attempt } from "../attempt/attempt.ts";
import type { TaskContext } from "../attempt/context.ts";
import { classifyError } from "../attempt/failure/classify.ts";
import { readThrownPromise } from "../attempt/failure/thrown-promise.ts";
import type { AnyHandler } from "../options/task-types/task-definition.ts";
import type { Middleware, TaskLifespan } from "./lifespan.ts";
import { Teardowns } from "./teardowns.ts";

/** How the rest of the chain ended. */
type Ended = { readonly value: unknown } | { readonly error: unknown };

/**
 * The handler with what surrounds it: the first middleware is the outermost, the lifespan the innermost. Without both it is
 * the handler itself, so that an attempt costs nothing more.
 */
export function chainOf(
  handler: AnyHandler,
  middleware: readonly Middleware[],
  taskLifespan: TaskLifespan<unknown, unknown> | undefined,
): AnyHandler {
  const inner = taskLifespan === undefined ? handler : inLifespan(taskLifespan, handler);
  return middleware.reduceRight<AnyHandler>((next, each) => around(each, next), inner);
}

function around(middleware: Middleware, rest: AnyHandler): AnyHandler {
  return async (ctx) => {
    const attempt = attemptOf(ctx);
    let ended: Promise<Ended> | undefined;
    let misuse: TypeError | undefined;
    const next = (): Promise<unknown> => {
      if (ended !== undefined)
        misuse = new TypeError("A middleware called next() twice; the handler runs once.");
      ended ??= endOf(() => rest(attempt));
      const result = misuse === undefined ? ended.then(unwrapped) : Promise.reject(misuse);
      result.catch(() => {
        // How it ended is read below; a middleware need not await it.
      });
      return result;
    };
    const outer = await endOf(() => middleware(attempt, next));
    // A middleware may return before the handler does: the attempt has not ended before.
    const inner = await ended;
    if (misuse !== undefined) throw misuse;
    if ("error" in outer) {
      if (inner !== undefined && "error" in inner && inner.error !== outer.error)
        logReplaced(attempt, inner.error);
      throw outer.error;
    }
    if (inner === undefined) return outer.value;
    if (outer.value === undefined) return unwrapped(inner);
    if ("error" in inner) logReplaced(attempt, inner.error);
    return outer.value;
  };
}

function inLifespan(setUp: TaskLifespan<unknown, unknown>, handler: AnyHandler): AnyHandler {
  return async (ctx) => {
    const attempt = attemptOf(ctx);
    const teardowns = new Teardowns();
    const ended = await endOf(async () => {
      attempt.taskServices = teardowns.own(await setUp(attempt, { defer: teardowns.defer })) as never;
      return handler(attempt);
    });
    const faults: unknown[] = [];
    await teardowns.run((error) => {
      faults.push(error);
      const { code, message, traceback } = classifyError(error, undefined);
      attempt.ownLog.error(
        { event: "task.teardown.failed", code, traceback },
        `a step of the tear-down failed: ${message}`,
      );
    });
    const value = unwrapped(ended);
    if (faults.length > 0) throw faults[0];
    return value;
  };
}

/** The context of a handler is its attempt. */
function attemptOf(ctx: TaskContext<never, never, never>): Attempt {
  return ctx as Attempt;
}

async function endOf(run: () => unknown): Promise<Ended> {
  try {
    return { value: await run() };
  } catch (thrown) {
    return readThrownPromise(thrown);
  }
}

function unwrapped(ended: Ended): unknown {
  if ("error" in ended) throw ended.error;
  return ended.value;
}

function logReplaced(attempt: Attempt, error: unknown): void {
  const { code, message, traceback } = classifyError(error, undefined);
  attempt.ownLog.warn(
    { event: "task.failure.replaced", code, error: message, traceback },
    "a middleware replaced the failure of the handler",
  );
}
