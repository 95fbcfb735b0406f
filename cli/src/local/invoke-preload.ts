/**
 * Imported by Node before a worker's file in a process of `muster invoke`: runs one task of the worker instead of the worker.
 * It uses the copy of `@muster/worker` that the file has.
 */
import { pathToFileURL } from "node:url";
import { isMainThread } from "node:worker_threads";
import { systemClock } from "../clock.ts";
import type { CancelRequest, InvokeAnswer, InvokeOutcome, InvokeRequest } from "./invoke-protocol.ts";

/** The keys under which `@muster/worker` looks for an invocation and gives its parts. */
const INVOCATION = Symbol.for("@muster/worker/invocation");
const LOCAL = Symbol.for("@muster/worker/local");

/** Longest time that the file may take to end once the task has ended. */
const LINGER_MS = 1000;

/** A run, as `LocalRun` of `@muster/worker/testing`. */
interface Run {
  readonly ended: Promise<InvokeOutcome>;
  readonly progress: readonly {
    readonly fraction: number | undefined;
    readonly done: number | undefined;
    readonly total: number | undefined;
    readonly message: string;
  }[];
  readonly output: Uint8Array;
  readonly outputBytes: number;
  until(condition: (run: Run) => boolean): Promise<void>;
  cancel(reason: string): void;
}

interface Access {
  readonly types: readonly string[];
  open(settings: object): Promise<{
    start(type: string, input: unknown, options: object): Run;
    close(): Promise<void>;
  }>;
}

interface InvokedWorker {
  [LOCAL](): Access;
}

class FileRun {
  readonly #request: InvokeRequest;
  readonly #types = new Set<string>();
  readonly #seen = new Set<InvokedWorker>();
  readonly #cancel = Promise.withResolvers<string>();
  #running: Promise<void> | undefined;

  constructor(request: InvokeRequest) {
    this.#request = request;
  }

  begin(): void {
    (globalThis as { [INVOCATION]?: unknown })[INVOCATION] = (worker: InvokedWorker) => this.#take(worker);
    process.on("message", ({ kind, reason }: CancelRequest) => {
      if (kind === "cancel") this.#cancel.resolve(reason);
    });
    // Its command is gone: nothing would read the outcome.
    process.on("disconnect", () => process.exit(1));
    // Node imports the file when this module has been evaluated; the same address gives the same module.
    setImmediate(() => void this.#afterFile());
  }

  /** Waits for the file, and looks for workers that it exports without running them. */
  async #afterFile(): Promise<void> {
    const [, file = ""] = process.argv;
    let exported: Record<string, unknown>;
    try {
      exported = await import(pathToFileURL(file).href);
    } catch {
      // Node reports it, and ends the process.
      return;
    }
    for (const value of [...Object.values(exported), ...Object.values(Object(exported.default))])
      if (this.#running === undefined && typeof Object(value)[LOCAL] === "function")
        void this.#take(value as InvokedWorker);
    if (this.#running === undefined)
      await this.#end({ kind: "unknown", types: [...this.#types], workers: this.#seen.size });
  }

  /** A worker of the file: runs the task when it is its. */
  #take(worker: InvokedWorker): Promise<void> {
    if (this.#seen.has(worker)) return this.#running ?? Promise.resolve();
    this.#seen.add(worker);
    try {
      const access = worker[LOCAL]();
      for (const type of access.types) this.#types.add(type);
      if (this.#running === undefined && access.types.includes(this.#request.type))
        this.#running = this.#run(access);
    } catch (error) {
      this.#running ??= this.#end({ kind: "refused", message: messageOf(error) });
    }
    return this.#running ?? Promise.resolve();
  }

  async #run(access: Access): Promise<void> {
    const { type, payload, contentType, attempt, timeoutS } = this.#request;
    let answer: InvokeAnswer;
    try {
      const worker = await access.open({});
      const timeouts = timeoutS === undefined ? {} : { timeouts: { runS: timeoutS } };
      const run = worker.start(type, payload, { contentType, attempt, ...timeouts });
      void this.#cancel.promise.then((reason) => run.cancel(reason));
      void follow(run);
      answer = { kind: "outcome", outcome: await run.ended };
      await worker.close();
    } catch (error) {
      answer = { kind: "refused", message: messageOf(error) };
    }
    await this.#end(answer);
  }

  /** Sends the answer; what the file does after its worker may end, and is not waited for long. */
  async #end(answer: InvokeAnswer): Promise<void> {
    await send(answer);
    process.removeAllListeners("disconnect");
    process.disconnect?.();
    systemClock.after(LINGER_MS, () => process.exit(0));
  }
}

/** Shows what the handler reports, until it has ended. */
async function follow(run: Run): Promise<void> {
  let reports = 0;
  let bytes = 0;
  try {
    for (;;) {
      await run.until(({ progress, outputBytes }) => progress.length > reports || outputBytes > bytes);
      for (const { fraction, done, total, message } of run.progress.slice(reports)) {
        const share =
          fraction === undefined ? `${done} of ${total ?? "?"}` : `${Math.round(fraction * 100)} %`;
        void send({ kind: "progress", text: message === "" ? share : `${share} ${message}` });
      }
      reports = run.progress.length;
      const fresh = run.outputBytes - bytes;
      if (fresh > 0) void send({ kind: "output", data: run.output.subarray(-fresh) });
      bytes += fresh;
    }
  } catch {
    // It has ended.
  }
}

function send(answer: InvokeAnswer): Promise<void> {
  // Without a channel the command is gone.
  return new Promise((resolve) => {
    if (process.send === undefined) resolve();
    else process.send(answer, undefined, undefined, () => resolve());
  });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

if (isMainThread && process.send !== undefined) {
  // Processes that the worker forks inherit the options of Node, and must not run the task as well.
  const own = process.execArgv.findIndex((option) => option.includes("invoke-preload"));
  process.execArgv.splice(own - 1, 2);
  const request = await new Promise<InvokeRequest>((resolve) => process.once("message", resolve));
  new FileRun(request).begin();
}
