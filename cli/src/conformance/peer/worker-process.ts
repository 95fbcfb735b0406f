/** The worker's process: started, signalled and ended by a case. */
import { type ChildProcess, spawn } from "node:child_process";
import { CannotStart } from "../mismatch.ts";
import type { Changes } from "./changes.ts";
import type { Transcript } from "./transcript.ts";

/** Characters of the output that are kept: what a worker logs in a case. */
const MAX_OUTPUT = 512 * 1024;

/** Longest wait for the last output of a process that has ended. */
const LAST_OUTPUT_MS = 500;

/** How a process ended. */
export interface Exit {
  readonly atMs: number;
  /** Null when a signal has ended it. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process in a group of its own, so that its children are stopped and ended with it. */
export class WorkerProcess {
  readonly startedAtMs: number;
  /** How it ended; undefined while it runs. */
  exit: Exit | undefined;
  #output = "";
  readonly #process: ChildProcess;
  readonly #changes: Changes;
  readonly #transcript: Transcript;
  #fault: CannotStart | undefined;

  constructor(
    command: readonly string[],
    env: Readonly<Record<string, string | undefined>>,
    { changes, transcript }: { readonly changes: Changes; readonly transcript: Transcript },
  ) {
    const [program = "", ...args] = command;
    this.#changes = changes;
    this.#transcript = transcript;
    this.startedAtMs = changes.nowMs;
    this.#process = spawn(program, args, { env, stdio: ["ignore", "pipe", "pipe"], detached: true });
    for (const stream of [this.#process.stdout, this.#process.stderr])
      stream?.setEncoding("utf8").on("data", (chunk: string) => {
        this.#output = (this.#output + chunk).slice(-MAX_OUTPUT);
        changes.notify();
      });
    this.#process.on("error", (error) => {
      this.#fault = new CannotStart(program, error.message);
      this.exit ??= { atMs: changes.nowMs, code: null, signal: null };
      changes.notify();
    });
    this.#process.on("exit", (code, signal) => {
      const exit = { atMs: changes.nowMs, code, signal };
      transcript.add(`the worker's process ended with ${signal ?? `exit code ${code}`}`);
      const ended = (): void => {
        this.exit ??= exit;
        changes.notify();
      };
      // Its output is complete once both pipes are closed; a child that it left may keep them open.
      this.#process.once("close", ended);
      changes.after(LAST_OUTPUT_MS, ended);
    });
    transcript.add(`the worker's process starts: ${command.join(" ")}`);
  }

  /** Standard output and standard error so far. */
  get output(): string {
    return this.#output;
  }

  /** The end of its output, for a failure. */
  get lastOutput(): string {
    return this.#output.split("\n").slice(-12).join("\n").trim();
  }

  /** @throws CannotStart when the program does not exist or may not be run. */
  check(): void {
    if (this.#fault !== undefined) throw this.#fault;
  }

  /** Waits until it has ended. */
  async ended(expected: string, withinMs?: number): Promise<Exit> {
    const came = () => "its process still runs";
    return this.#changes.until(expected, () => this.exit, { came, ...(withinMs && { withinMs }) });
  }

  /** Sends a signal to the process that was started, as a supervisor does. */
  signal(signal: NodeJS.Signals): void {
    this.#transcript.add(`<- ${signal} to the worker's process`);
    this.#process.kill(signal);
  }

  /** Sends a signal to the process and its children, as a machine that sleeps stops all of them. */
  signalAll(signal: NodeJS.Signals): void {
    this.#transcript.add(`<- ${signal} to the worker's processes`);
    this.#signalGroup(signal);
  }

  /** Ends what is left of it. */
  async kill(): Promise<void> {
    this.#signalGroup("SIGKILL");
    const { exitCode, signalCode } = this.#process;
    if (exitCode === null && signalCode === null && this.#fault === undefined)
      await new Promise((resolve) => this.#process.once("exit", resolve));
    for (const stream of [this.#process.stdout, this.#process.stderr]) stream?.destroy();
  }

  #signalGroup(signal: NodeJS.Signals): void {
    if (this.#process.pid === undefined) return;
    try {
      process.kill(-this.#process.pid, signal);
    } catch (error) {
      // The whole group has ended.
      if (!(error instanceof Error && "code" in error && error.code === "ESRCH")) throw error;
    }
  }
}
