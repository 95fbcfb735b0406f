/** The process of the worker: its start, its output, its end. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { Duplex, Readable, Writable } from "node:stream";
import { MemoryWatch } from "@muster/common/process/memory-watch";
import { Lines } from "@muster/common/text/lines";
import type { Redactor } from "@muster/common/text/redact";
import { type Clock, settledWithin } from "../../clock.ts";
import { ProcessTree } from "../../command/process-tree.ts";
import type { Environment } from "../../options/connection-options.ts";

/** The descriptor of the socket. */
export const LINK_FD = 3;

/** Variable by which the processes of the worker are found. */
const MARK = "MUSTER_LINK_ID";

/** Last lines of its output that are kept, and the characters of each. */
const LAST_LINES = 40;
const LINE_CHARACTERS = 1_000;

/** Longer lines are not among them. */
const MAX_LINE_BYTES = 64 * 1024;

/** Time for output that comes after the end. The end is reported 100 ms after it at the latest. */
const LAST_OUTPUT_MS = 40;

/** Interval at which its cgroup is read: a container runtime may move it. */
const MEMORY_EVERY_MS = 1_000;

/** How a worker's process ended. */
export interface WorkerEnd {
  /** Null when a signal ended it, or it never ran. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly startError: NodeJS.ErrnoException | undefined;
  /** That the kernel killed it for its memory; undefined without evidence. */
  readonly outOfMemory: string | undefined;
  /** Why the link has killed it; undefined when it has not. */
  readonly killed: string | undefined;
  /** Its last lines, without secrets. */
  readonly lastLines: readonly string[];
}

/** How a worker is started. */
export interface WorkerProcessOptions {
  readonly command: readonly string[];
  readonly env: Environment;
  /** Lines on standard input and output instead of a socket. */
  readonly stdio: boolean;
  /** A process group of its own: Ctrl-C of a terminal then reaches the link alone. */
  readonly ownGroup: boolean;
  readonly stdout: Writable;
  readonly stderr: Writable;
  readonly redactor: Redactor;
  readonly clock: Clock;
}

/** A worker's process. */
export class WorkerProcess {
  /** Where its lines are read and written. */
  readonly lines: { readonly from: Readable; readonly to: Writable };
  /** Resolves when it has ended. Never rejects. */
  readonly ended: Promise<WorkerEnd>;
  readonly #child: ChildProcess;
  readonly #tree: ProcessTree | undefined;
  readonly #options: WorkerProcessOptions;
  readonly #memory: MemoryWatch | undefined;
  #lastLines: string[] = [];
  #killed: string | undefined;
  #over = false;

  constructor(options: WorkerProcessOptions) {
    const { command, env, stdio, clock, stdout, stderr } = options;
    const [file = "", ...args] = command;
    this.#options = options;
    const mark = randomUUID();
    const child = spawn(file, args, {
      env: { ...env, [MARK]: mark },
      detached: options.ownGroup,
      stdio: stdio ? ["pipe", "pipe", "pipe"] : ["inherit", "pipe", "pipe", "pipe"],
    });
    this.#child = child;
    const { pid } = child;
    this.#tree = pid === undefined ? undefined : new ProcessTree(pid, mark, clock, MARK);
    this.#memory = pid === undefined ? undefined : new MemoryWatch(pid);
    this.#memory?.look();
    const { stdin, stdout: out, stderr: err } = child;
    // Node's types know no further pipes.
    const socket = (child.stdio as readonly unknown[])[LINK_FD] as Duplex | undefined;
    const from = stdio ? out : socket;
    const to = stdio ? stdin : socket;
    if (from === null || from === undefined || to === null || to === undefined)
      throw new Error("the worker's process was started without its pipes");
    this.lines = { from, to };
    if (!stdio) this.#pass(out, stdout);
    this.#pass(err, stderr);
    const stopLooking = clock.every(MEMORY_EVERY_MS, () => this.#memory?.look());
    this.ended = this.#end().finally(stopLooking);
  }

  /** 0 when it could not be started. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** True until its end is known. */
  get isRunning(): boolean {
    return !this.#over;
  }

  /** The last lines of its output, without secrets. */
  get lastLines(): readonly string[] {
    return this.#lastLines;
  }

  signal(signal: NodeJS.Signals): void {
    if (!this.#over && this.pid !== 0) this.#child.kill(signal);
  }

  /** Kills it and all that it has started. The first reason stays. */
  kill(why: string): void {
    if (this.#over) return;
    this.#killed ??= why;
    this.#child.kill("SIGKILL");
    this.#tree?.signal("SIGKILL");
  }

  /** Waits for its end, then sends SIGTERM, then kills it. True when it had to be killed. */
  async endWithin(graceMs: number, termMs: number): Promise<boolean> {
    const { clock } = this.#options;
    if (graceMs === 0 || !(await settledWithin(this.ended, graceMs, clock))) this.signal("SIGTERM");
    const kills = !(await settledWithin(this.ended, termMs, clock));
    if (kills) this.kill("it did not end when it was asked to");
    await this.ended;
    return kills;
  }

  /** Ends what it has left behind. */
  async endRest(graceMs: number): Promise<void> {
    if (!this.#tree?.isRunning) return;
    this.#tree.signal("SIGTERM");
    await this.#tree.end(graceMs);
  }

  async #end(): Promise<WorkerEnd> {
    const child = this.#child;
    const closed = new Promise<void>((resolve) => void child.once("close", () => resolve()));
    const end = await new Promise<Pick<WorkerEnd, "code" | "signal" | "startError">>((resolve) => {
      child.once("error", (startError) => {
        // This event also reports a signal that could not be sent; the process runs then.
        if (child.pid === undefined) resolve({ code: null, signal: null, startError });
      });
      child.once("exit", (code, signal) => resolve({ code, signal, startError: undefined }));
    });
    const outOfMemory =
      end.signal === "SIGKILL" && this.#killed === undefined ? this.#memory?.evidence() : undefined;
    if (end.startError === undefined) await settledWithin(closed, LAST_OUTPUT_MS, this.#options.clock);
    this.#over = true;
    // A process that it left behind may keep the pipes open, and with them this process.
    child.stdout?.destroy();
    child.stderr?.destroy();
    return { ...end, outOfMemory, killed: this.#killed, lastLines: this.#lastLines };
  }

  /** Passes output through with back-pressure, and keeps its last lines; drops it when the reader has closed. */
  #pass(from: Readable | null, to: Writable): void {
    if (from === null) return;
    const lines = new Lines(MAX_LINE_BYTES);
    let waiting = false;
    const resume = (): void => {
      waiting = false;
      from.resume();
    };
    to.on("close", resume);
    from.on("close", () => to.off("close", resume));
    from.on("error", () => {
      // The pipe broke; the end of the process follows.
    });
    from.on("end", () => this.#keep(lines.end()));
    from.on("data", (chunk: Buffer) => {
      this.#keep(lines.push(chunk));
      if (!to.writable || to.write(chunk) || waiting) return;
      waiting = true;
      from.pause();
      to.once("drain", resume);
    });
  }

  #keep(lines: readonly string[]): void {
    const { redactor } = this.#options;
    const shown = lines
      .slice(-LAST_LINES)
      .filter((line) => line !== "")
      .map((line) => redactor.text(line.slice(0, LINE_CHARACTERS)));
    this.#lastLines = [...this.#lastLines, ...shown].slice(-LAST_LINES);
  }
}
