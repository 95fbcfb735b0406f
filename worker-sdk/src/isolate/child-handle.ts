/** One process for isolated handlers, as the worker has it. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Socket } from "node:net";
import { Lines } from "@muster/common/text/lines";
import type { ClassifiedFailure } from "../attempt/failure/classify.ts";
import { type Clock, settledWithin } from "../clock.ts";
import { ProcessTree } from "../command/process-tree.ts";
import { processEnvironment } from "../options/connection-options.ts";
import { GUARD_FD, nodeArguments } from "./boot.ts";
import type { ChildEnd } from "./child-end.ts";
import { ISOLATE_MARK, type IsolateSettings } from "./isolate-options.ts";
import { MemoryLimit } from "./memory-limit.ts";
import type { FromChild, ToChild, Unusable } from "./messages.ts";

/** Longer lines are skipped. */
const MAX_LINE_BYTES = 64 * 1024;

/** Last lines of standard error that are kept: what V8 writes before it aborts is some 30. */
const LAST_LINES = 60;

/** Time for messages and output that come after the end. */
const LAST_OUTPUT_MS = 1_000;

/** Time for a process that was asked to end: its tear-down may take 5 s, its spans 3 s. */
const END_MS = 9_000;

/** Longest answer of the guard, and how long it is waited for. */
const MAX_STACK_BYTES = 64 * 1024;
const STACK_MS = 1_500;

/** Who listens to a process: the attempt that it runs, or the pool. */
export interface ChildListener {
  message(message: FromChild): void;
  line(line: string, from: "stdout" | "stderr"): void;
}

/** A process and its channels. */
export class ChildHandle {
  readonly settings: IsolateSettings;
  /** Resolves with true when the module has the handlers, and with false when the process ends before. */
  readonly found: Promise<boolean>;
  /** Resolves with true when it takes an attempt, and with false when it ends before. */
  readonly ready: Promise<boolean>;
  /** Resolves when it has ended, and all that it has started. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  /** The type of its attempts; undefined before the first one. */
  type: string | undefined;
  attempts = 0;
  listener: ChildListener;
  readonly #clock: Clock;
  readonly #process: ChildProcess;
  readonly #tree: ProcessTree | undefined;
  readonly #memory: MemoryLimit;
  readonly #found = Promise.withResolvers<boolean>();
  readonly #ready = Promise.withResolvers<boolean>();
  readonly #lines = { stdout: new Lines(MAX_LINE_BYTES), stderr: new Lines(MAX_LINE_BYTES) };
  #lastLines: string[] = [];
  #unusable: Unusable | undefined;
  #uncaught: ClassifiedFailure | undefined;
  #killed: string | undefined;
  #over = false;

  constructor(
    { module, types, settings }: { module: string; types: readonly string[]; settings: IsolateSettings },
    clock: Clock,
    listener: ChildListener,
  ) {
    this.settings = settings;
    this.#clock = clock;
    this.listener = listener;
    this.found = this.#found.promise;
    this.ready = this.#ready.promise;
    this.#memory = new MemoryLimit(settings.memoryLimitBytes);
    const mark = randomUUID();
    const argv = this.#memory.within([process.execPath, ...nodeArguments(module, types, settings)]);
    const [file = "", ...args] = argv;
    // A group of its own: the terminal's Ctrl-C reaches the worker alone, which drains.
    const child = spawn(file, args, {
      detached: true,
      env: { ...processEnvironment, [ISOLATE_MARK]: mark },
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc", "pipe"],
    });
    this.#process = child;
    this.#tree = child.pid === undefined ? undefined : new ProcessTree(child.pid, mark, clock, ISOLATE_MARK);
    if (child.pid !== undefined)
      this.#memory.follow(child.pid, clock, () => this.kill("its memory is beyond the limit"));
    child.on("message", (message) => {
      const { muster }: { readonly muster?: FromChild } = Object(message);
      // Others are the handler's own.
      if (muster !== undefined) this.#receive(muster);
    });
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.on("data", (chunk: Buffer) => {
        for (const line of this.#lines[name].push(chunk)) this.#line(line, name);
      });
      child[name]?.on("error", () => {
        // The pipe broke; the end of the process follows.
      });
    }
    this.#guard?.on("error", () => {
      // The same.
    });
    this.ended = this.#end();
  }

  get pid(): number | undefined {
    return this.#process.pid;
  }

  /** False once it has ended or is to be killed. */
  get isUsable(): boolean {
    return !this.#over && this.#killed === undefined && this.#unusable === undefined;
  }

  /** Sends; a process that has ended takes nothing, and its end says so. */
  send(message: ToChild): void {
    if (this.#process.connected)
      this.#process.send(message, undefined, undefined, () => {
        // It has ended meanwhile.
      });
  }

  /** Kills it and all that it has started. The first reason stays. */
  kill(why: string): void {
    if (this.#over || this.#killed !== undefined) return;
    this.#killed = why;
    this.#tree?.signal("SIGKILL");
  }

  /** Asks it to tear down and end; kills it when it does not. */
  async end(limitMs = END_MS): Promise<void> {
    this.send({ kind: "end" });
    if (!(await settledWithin(this.ended, limitMs, this.#clock)))
      this.kill(`it did not end within ${limitMs / 1000} s`);
    await this.ended;
  }

  /** Reads where its main thread is, also when that is blocked; undefined when its guard does not answer. */
  async stack(): Promise<readonly string[] | undefined> {
    const guard = this.#guard;
    if (guard === undefined || guard.destroyed) return undefined;
    const answered = Promise.withResolvers<readonly string[] | undefined>();
    let text = "";
    const take = (chunk: Buffer): void => {
      text += chunk.toString("utf8");
      if (text.length > MAX_STACK_BYTES) answered.resolve(undefined);
      else if (text.endsWith("\n")) answered.resolve(framesOf(text));
    };
    guard.on("data", take);
    guard.write("s");
    const cancel = this.#clock.after(STACK_MS, () => answered.resolve(undefined));
    try {
      return await answered.promise;
    } finally {
      cancel();
      guard.off("data", take);
    }
  }

  /** What it wrote before now has reached the listener: the pipes are read in every turn of the loop. */
  async outputRead(): Promise<void> {
    for (let turn = 0; turn < 2; turn++) await new Promise(setImmediate);
  }

  get #guard(): Socket | undefined {
    // Node's types know no further pipes.
    return (this.#process.stdio as readonly unknown[])[GUARD_FD] as Socket | undefined;
  }

  #receive(message: FromChild): void {
    if (message.kind === "found") this.#found.resolve(true);
    else if (message.kind === "ready") this.#ready.resolve(true);
    else if (message.kind === "unusable") this.#unusable = message.fault;
    else if (message.kind === "uncaught") this.#uncaught = message.failure;
    else this.listener.message(message);
  }

  #line(line: string, from: "stdout" | "stderr"): void {
    if (line === "") return;
    if (from === "stderr") this.#lastLines = [...this.#lastLines.slice(1 - LAST_LINES), line];
    this.listener.line(line, from);
  }

  async #end(): Promise<ChildEnd> {
    const child = this.#process;
    const closed = new Promise<void>((resolve) => void child.once("close", () => resolve()));
    const exit = await new Promise<Pick<ChildEnd, "code" | "signal" | "startError">>((resolve) => {
      child.once("error", (startError) => {
        // This event also reports a message that could not be sent; the process runs then.
        if (child.pid === undefined) resolve({ code: null, signal: null, startError });
      });
      child.once("exit", (code, signal) => resolve({ code, signal, startError: undefined }));
    });
    // What it leaves behind belongs to no task.
    if (this.#tree?.isRunning) await this.#tree.end(0);
    await settledWithin(closed, LAST_OUTPUT_MS, this.#clock);
    for (const name of ["stdout", "stderr"] as const) {
      child[name]?.destroy();
      for (const line of this.#lines[name].end()) this.#line(line, name);
    }
    this.#guard?.destroy();
    this.#over = true;
    const outOfMemory = this.#memory.evidence(exit.signal === "SIGKILL" && this.#killed === undefined);
    this.#memory.end();
    this.#found.resolve(false);
    this.#ready.resolve(false);
    return {
      ...exit,
      outOfMemory,
      lastLines: this.#lastLines,
      unusable: this.#unusable,
      uncaught: this.#uncaught,
      killed: this.#killed,
    };
  }
}

/** The frames of an answer; undefined for what none is: the handler may write to the channel as well. */
function framesOf(text: string): readonly string[] | undefined {
  try {
    const frames: unknown = JSON.parse(text);
    return Array.isArray(frames) ? frames.map(String) : undefined;
  } catch {
    return undefined;
  }
}
