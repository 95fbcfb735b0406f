/** The processes of a worker's isolated handlers. */
import type { Attempt } from "../attempt/attempt.ts";
import { outcomeOfThrow } from "../attempt/execute.ts";
import { settledWithin, systemClock } from "../clock.ts";
import type { IsolatedStack } from "../link/messages.ts";
import type { Outcome } from "../link/outcome.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledTask } from "../options/compiled-options.ts";
import { moduleOf } from "./boot.ts";
import { endError } from "./child-end.ts";
import { ChildHandle, type ChildListener } from "./child-handle.ts";
import type { IsolateSettings } from "./isolate-options.ts";
import { IsolatedRun, type IsolatedRunParts } from "./isolated-run.ts";

/** Processes whose stacks are read at once. */
const MAX_STACKS = 40;

/** What the processes need of their worker. */
export interface IsolationParts extends Omit<IsolatedRunParts, "settings"> {
  readonly log: Logger;
  readonly tasks: ReadonlyMap<string, CompiledTask>;
  /** What a scheduler has set, as it is now. */
  readonly settings: () => IsolatedRunParts["settings"];
}

/** Starts, reuses and ends processes. */
export class Isolation {
  readonly #parts: IsolationParts;
  readonly #running = new Set<ChildHandle>();
  /** Processes without an attempt, and how their time limit is taken back; the latest first. */
  readonly #idle = new Map<ChildHandle, () => void>();
  /** Processes that run an attempt, with its id. */
  readonly #busy = new Map<ChildHandle, string>();
  #closed = false;

  constructor(parts: IsolationParts) {
    this.#parts = parts;
  }

  /**
   * Starts a process for each module, waits until it has imported it, and keeps it for the first attempt.
   *
   * @throws Error of one sentence when a module cannot be imported, or does not have the handlers.
   */
  async check(): Promise<void> {
    const first = new Map<string, IsolateSettings>();
    for (const { isolate } of this.#parts.tasks.values())
      if (isolate !== undefined && !first.has(keyOf(isolate))) first.set(keyOf(isolate), isolate);
    await Promise.all(
      [...first.values()].map(async (settings) => {
        const child = this.#start(settings);
        if (!(await child.found)) throw endError(await child.ended);
        this.#park(child);
      }),
    );
  }

  /** Runs an attempt in a process. Never rejects but for an entry file that is missing. */
  async run(attempt: Attempt): Promise<Outcome> {
    const { classify } = this.#parts;
    const { isolate, type } = attempt.definition;
    if (isolate === undefined) throw new Error(`the handler of ${type} is not isolated`);
    const stopped = onAbort(attempt.signal);
    let child: ChildHandle;
    try {
      child = this.#take(type, isolate);
    } catch (error) {
      return outcomeOfThrow(attempt, error, classify);
    }
    // Its output until it is ready is the attempt's.
    const run = new IsolatedRun(attempt, child, { ...this.#parts, settings: this.#parts.settings() });
    child.listener = run;
    try {
      const late = new Promise<"late">((resolve) => {
        stopped.then(
          () => resolve("late"),
          () => resolve("late"),
        );
      });
      const startMs = isolate.startTimeoutMs;
      const begun = this.#within(child.ready, startMs);
      const ready = await Promise.race([begun, late]);
      if (ready === "late") {
        this.#park(child);
        return outcomeOfThrow(
          attempt,
          attempt.stop?.reason ?? new Error("the attempt was stopped"),
          classify,
        );
      }
      if (ready === "timeout") child.kill(`it was not set up within ${startMs / 1000} s (startTimeoutS)`);
      if (ready !== true) return outcomeOfThrow(attempt, endError(await child.ended), classify);
      child.type = type;
      child.attempts += 1;
      attempt.ownLog.debug(
        { event: "task.isolated", pid: child.pid, attempts: child.attempts },
        "the handler runs in a process of its own",
      );
      this.#busy.set(child, attempt.id);
      const outcome = await run.run();
      // The process may be taken for another attempt from here on.
      this.#busy.delete(child);
      if (outcome.kind === "succeeded" && child.isUsable && child.attempts < isolate.maxAttempts)
        this.#park(child);
      else void this.#end(child);
      return outcome;
    } finally {
      stopped.cancel();
    }
  }

  /** Where the handlers are; of more than 40 the first. Takes up to 1.5 s. */
  async stacks(): Promise<readonly IsolatedStack[]> {
    const busy = [...this.#busy].slice(0, MAX_STACKS);
    return Promise.all(
      busy.map(async ([child, attemptId]) => ({
        attemptId,
        pid: child.pid ?? 0,
        frames: await child.stack(),
      })),
    );
  }

  /** Ends every process; kills those that have not ended in time. */
  async close(limitMs: number): Promise<void> {
    this.#closed = true;
    for (const child of [...this.#idle.keys()]) void this.#end(child, limitMs);
    const all = [...this.#running];
    const ended = Promise.all(all.map((child) => child.ended));
    if (await settledWithin(ended, limitMs)) return;
    for (const child of all) child.kill("the worker ends");
    await ended;
  }

  /** True when the process is ready; false when it has ended. */
  async #within(ready: Promise<boolean>, limitMs: number): Promise<boolean | "timeout"> {
    const late = Promise.withResolvers<"timeout">();
    const cancel = systemClock.after(limitMs, () => late.resolve("timeout"));
    try {
      return await Promise.race([ready, late.promise]);
    } finally {
      cancel();
    }
  }

  /** A process for an attempt: one of its type, else one without a type, else a new one. */
  #take(type: string, settings: IsolateSettings): ChildHandle {
    const key = keyOf(settings);
    const fits = [...this.#idle.keys()].filter(
      (child) => child.isUsable && keyOf(child.settings) === key && (child.type ?? type) === type,
    );
    // The latest: the others may end.
    const child = fits.findLast((each) => each.type === type) ?? fits.at(-1);
    if (child === undefined) return this.#start(settings);
    this.#idle.get(child)?.();
    this.#idle.delete(child);
    return child;
  }

  #start(settings: IsolateSettings): ChildHandle {
    const { log, tasks } = this.#parts;
    const module = moduleOf(settings);
    const key = keyOf(settings);
    const types = [...tasks.values()]
      .filter(({ isolate }) => isolate !== undefined && keyOf(isolate) === key)
      .map(({ type }) => type);
    const begunMs = systemClock.monotonicMs();
    const child = new ChildHandle(
      { module, types, settings },
      systemClock,
      this.#idleListener(() => child.pid),
    );
    this.#running.add(child);
    void child.ready.then((ready) => {
      const took = Math.round(systemClock.monotonicMs() - begunMs);
      if (ready)
        log.info(
          { event: "worker.isolate.started", pid: child.pid, module, took_ms: took },
          "a process for isolated handlers is ready",
        );
    });
    void child.ended.then((end) => {
      this.#running.delete(child);
      this.#idle.get(child)?.();
      this.#idle.delete(child);
      const { code, signal, killed } = end;
      const fields = {
        event: "worker.isolate.ended",
        pid: child.pid,
        attempts: child.attempts,
        code,
        signal,
      };
      if (code === 0) log.info(fields, "a process of isolated handlers has ended");
      else
        log.warn(
          { ...fields, error: killed ?? endError(end).message },
          "a process of isolated handlers has ended",
        );
    });
    return child;
  }

  /** The process waits for an attempt. */
  #park(child: ChildHandle): void {
    if (this.#closed || child.settings.idleMs === 0) {
      void this.#end(child);
      return;
    }
    child.listener = this.#idleListener(() => child.pid);
    const cancel = systemClock.after(child.settings.idleMs, () => void this.#end(child));
    this.#idle.set(child, cancel);
  }

  async #end(child: ChildHandle, limitMs?: number): Promise<void> {
    this.#idle.get(child)?.();
    this.#idle.delete(child);
    await child.end(limitMs);
  }

  /** What a process says without an attempt. */
  #idleListener(pid: () => number | undefined): ChildListener {
    const { log } = this.#parts;
    return {
      message(message) {
        if (message.kind === "log") log[message.level]({ ...message.fields, pid: pid() }, message.message);
      },
      line: (line, stream) => log.info({ event: "worker.isolate.output", pid: pid(), stream }, line),
    };
  }
}

function keyOf(settings: IsolateSettings): string {
  return JSON.stringify(settings);
}

/** Resolves when the signal aborts. */
function onAbort(signal: AbortSignal): Promise<void> & { readonly cancel: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  const listener = (): void => resolve();
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", listener, { once: true });
  return Object.assign(promise, { cancel: () => signal.removeEventListener("abort", listener) });
}
