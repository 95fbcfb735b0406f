/** The OCR engine, in a thread of its own. */
import { Worker } from "node:worker_threads";

/** A word as the engine read it. `confidence` is the engine's own estimate, 0 to 100. */
export interface Word {
  readonly text: string;
  readonly confidence: number;
}

/** A recognised page: its text in reading order, and the words of it. `confidence` is their mean, 0 to 100. */
export interface PageText {
  readonly text: string;
  readonly confidence: number;
  readonly words: readonly Word[];
}

/** How far a step of the engine's work is: `step` is the engine's name for it, `progress` is 0 to 1. */
export interface EngineProgress {
  readonly step: string;
  readonly progress: number;
}

/** What the engine's thread is asked. */
export interface EngineRequest {
  readonly image: Uint8Array;
}

/** What the engine's thread says: once "ready", then one "recognised" or "failed" for each request. */
export type EngineMessage =
  | ({ readonly kind: "progress" } & EngineProgress)
  | { readonly kind: "ready" }
  | { readonly kind: "recognised"; readonly page: PageText }
  | { readonly kind: "failed"; readonly reason: string };

type EngineAnswer = Exclude<EngineMessage, { kind: "progress" }>;

export interface EngineOptions {
  /** When it aborts, the engine's thread is ended; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called from an event handler: what it throws is an uncaught exception of the process. */
  readonly onProgress?: ((progress: EngineProgress) => void) | undefined;
}

/** The engine could not do what it was asked. `reason` is the engine's own sentence. */
export class EngineError extends Error {
  override readonly name = "EngineError";
  readonly reason: string;

  constructor(reason: string, options?: ErrorOptions) {
    super(`The recognition engine failed: ${reason}`, options);
    this.reason = reason;
  }
}

/**
 * A loaded recognition engine in its own thread, for one request at a time. Recognition is one long computation that
 * cannot be cancelled, so stopping it ends the thread; an engine that was stopped stays stopped.
 */
export class Engine {
  readonly #thread: Worker;
  #stopped = false;
  #fault: Error | undefined;

  private constructor(folder: string) {
    // What the engine prints goes to standard error: a program's standard output is its own.
    this.#thread = new Worker(new URL("./engine-thread.ts", import.meta.url), {
      workerData: folder,
      stdout: true,
    });
    this.#thread.stdout.pipe(process.stderr);
    this.#thread.on("error", (error) => {
      this.#fault = error;
    });
    this.#thread.on("exit", () => {
      this.#stopped = true;
    });
  }

  /**
   * Starts an engine with the language data in a folder.
   *
   * @throws EngineError when the data cannot be used, or when the thread fails
   */
  static async start(folder: string, options: EngineOptions = {}): Promise<Engine> {
    options.signal?.throwIfAborted();
    const engine = new Engine(folder);
    await engine.#answer(options);
    return engine;
  }

  /** Whether the thread has ended, by `stop`, by an aborted signal or by a fault. */
  get stopped(): boolean {
    return this.#stopped;
  }

  /**
   * Recognises the text on a picture.
   *
   * @throws EngineError when the picture cannot be read, or when the thread fails
   */
  async recognise(image: Uint8Array, options: EngineOptions = {}): Promise<PageText> {
    options.signal?.throwIfAborted();
    if (this.#stopped) throw new EngineError("it was stopped", { cause: this.#fault });
    const answer = this.#answer(options);
    const request: EngineRequest = { image };
    this.#thread.postMessage(request);
    const message = await answer;
    if (message.kind === "recognised") return message.page;
    throw new EngineError(message.kind === "failed" ? message.reason : "it answered out of turn");
  }

  /** Ends the thread, whatever it is doing, and returns when it has ended. A request under way is rejected. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#thread.terminate();
  }

  /** The thread's next message that is not about progress. */
  async #answer({ signal, onProgress }: EngineOptions): Promise<EngineAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<EngineAnswer>();
    const onMessage = (message: EngineMessage) => {
      if (message.kind === "progress") onProgress?.({ step: message.step, progress: message.progress });
      else resolve(message);
    };
    // An abort is answered by the thread's end, so that nothing runs any more when the caller hears of it.
    const onExit = () => {
      if (signal?.aborted) reject(signal.reason);
      else reject(new EngineError(this.#fault?.message ?? "its thread ended", { cause: this.#fault }));
    };
    const onAbort = () => this.stop();
    this.#thread.on("message", onMessage);
    this.#thread.on("exit", onExit);
    signal?.addEventListener("abort", onAbort);
    try {
      return await promise;
    } finally {
      this.#thread.off("message", onMessage);
      this.#thread.off("exit", onExit);
      signal?.removeEventListener("abort", onAbort);
    }
  }
}
