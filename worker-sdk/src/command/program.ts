/** One run of a program: its output, its end, and the end of what it has started. */
import { type ChildProcess, spawn } from "node:child_process";
import { MemoryWatch } from "@muster/common/process/memory-watch";
import { Lines } from "@muster/common/text/lines";
import { type Clock, settledWithin } from "../clock.ts";
import type { MemoryGroup } from "./memory-group.ts";
import type { ProgramEnd } from "./outcome.ts";
import { ProcessTree } from "./process-tree.ts";

/** Longer lines are not logged: they are in the output. */
const MAX_LINE_BYTES = 64 * 1024;

/** Most of standard output that is kept for the result. */
const MAX_RESULT_BYTES = 1024 * 1024;

/** Last lines of standard error in an error, and their characters. */
const LAST_LINES = 5;
const LAST_CHARACTERS = 1_000;

/** Time for output that comes after the end: a process that keeps the pipes open is killed before. */
const LAST_OUTPUT_MS = 1_000;

/** Interval at which the cgroup of the program is read. */
const MEMORY_EVERY_MS = 500;

export type StreamName = "stdout" | "stderr";

/** What is run, and where its output goes. */
export interface ProgramOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Value by which processes are found that left the program's group. */
  readonly mark: string;
  readonly cwd: string;
  readonly stdin: Uint8Array | string | undefined;
  readonly clock: Clock;
  /** Standard output as it comes. */
  readonly onChunk: (chunk: Uint8Array) => void;
  readonly onLine: (line: string, from: StreamName) => void;
  readonly keepOutput: boolean;
}

/** A program in a process group of its own. */
export class Program {
  readonly #options: ProgramOptions;
  readonly #process: ChildProcess;
  readonly #tree: ProcessTree | undefined;
  readonly #lines = { stdout: new Lines(MAX_LINE_BYTES), stderr: new Lines(MAX_LINE_BYTES) };
  readonly #memory: MemoryWatch | undefined;
  readonly #exited: Promise<Omit<ProgramEnd, "outOfMemory" | "lastLines"> & StartResult>;
  readonly #closed: Promise<void>;
  #kept: Buffer[] = [];
  #keptBytes = 0;
  #lastLines: string[] = [];
  #ending: Promise<unknown> | undefined;

  constructor(options: ProgramOptions) {
    const { argv, env, cwd, stdin, clock, mark } = options;
    this.#options = options;
    const [file = "", ...args] = argv;
    const child = spawn(file, args, { cwd, env, detached: true, stdio: ["pipe", "pipe", "pipe"] });
    this.#process = child;
    this.#exited = new Promise((resolve) => {
      child.once("error", (startError) => {
        // This event also reports a signal that could not be sent; the program runs then.
        if (child.pid === undefined) resolve({ code: null, signal: null, startError });
      });
      child.once("exit", (code, signal) => resolve({ code, signal, startError: undefined }));
    });
    this.#closed = new Promise((resolve) => void child.once("close", () => resolve()));
    this.#tree = child.pid === undefined ? undefined : new ProcessTree(child.pid, mark, clock);
    this.#memory = child.pid === undefined ? undefined : new MemoryWatch(child.pid);
    this.#memory?.look();
    for (const name of ["stdout", "stderr"] as const) {
      child[name].on("error", () => {
        // The pipe broke; the end of the program follows.
      });
      child[name].on("data", (chunk: Buffer) => this.#take(chunk, name));
    }
    child.stdin.on("error", () => {
      // The program does not read it, or has ended: that is its choice, and its exit code says what it made of it.
    });
    child.stdin.end(stdin);
  }

  /** Standard output so far, as far as it is kept. */
  get output(): { text: string; complete: boolean } {
    return {
      text: Buffer.concat(this.#kept).toString("utf8"),
      complete: this.#keptBytes <= MAX_RESULT_BYTES,
    };
  }

  /** Asks every process of the tree to end, and kills those that have not when the grace is over. */
  stop(graceMs: number): void {
    if (this.#tree === undefined || this.#ending !== undefined) return;
    this.#tree.signal("SIGTERM");
    // A process that is stopped takes the signal only when it goes on.
    this.#tree.signal("SIGCONT");
    this.#ending = this.#tree.end(graceMs);
  }

  /** Resolves when the program has ended and every process that it has started is gone. Never rejects. */
  async ended(group: MemoryGroup | undefined): Promise<ProgramEnd & StartResult> {
    const { clock } = this.#options;
    const cancel = clock.every(MEMORY_EVERY_MS, () => this.#memory?.look());
    const end = await this.#exited;
    cancel();
    if (this.#tree !== undefined) {
      // What it leaves behind belongs to no task: it ends with it.
      if (this.#ending === undefined && this.#tree.isRunning) this.stop(0);
      await this.#ending;
    }
    await settledWithin(this.#closed, LAST_OUTPUT_MS, clock);
    this.#process.stdout?.destroy();
    this.#process.stderr?.destroy();
    for (const name of ["stdout", "stderr"] as const)
      for (const line of this.#lines[name].end()) this.#line(line, name);
    const killed = end.signal === "SIGKILL" || (end.code ?? 0) > 128;
    return {
      ...end,
      // The worker's own cgroup may count the death of another process: it is evidence only for one that was killed.
      outOfMemory: group?.evidence() ?? (killed ? this.#memory?.evidence() : undefined),
      lastLines: this.#lastLines.join(" | ").slice(-LAST_CHARACTERS),
    };
  }

  #take(chunk: Buffer, from: StreamName): void {
    if (from === "stdout") {
      this.#options.onChunk(chunk);
      if (this.#options.keepOutput) {
        this.#keptBytes += chunk.byteLength;
        if (this.#keptBytes <= MAX_RESULT_BYTES) this.#kept.push(chunk);
        else this.#kept = [];
      }
    }
    for (const line of this.#lines[from].push(chunk)) this.#line(line, from);
  }

  #line(line: string, from: StreamName): void {
    if (line === "") return;
    if (from === "stderr") this.#lastLines = [...this.#lastLines.slice(1 - LAST_LINES), line];
    this.#options.onLine(line, from);
  }
}

/** Why a program could not be started; undefined when it ran. */
interface StartResult {
  readonly startError: NodeJS.ErrnoException | undefined;
}
