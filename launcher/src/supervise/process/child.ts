/** Starts the process of a worker and observes its end. */
import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { groupRuns, signalGroup } from "@muster/common/process/process-group";
import type { Clock } from "../../clock.ts";
import type { Environment } from "../../environment.ts";

/** How a process ended. */
export interface ChildEnd {
  /** Null when a signal ended it or it never ran. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started; undefined when it ran. */
  readonly startError: NodeJS.ErrnoException | undefined;
  /** Processes that it left in its group had to be killed. */
  readonly killedOthers: boolean;
}

/** What a child process runs and where its output goes. */
export interface ChildOptions {
  readonly command: readonly string[];
  /** That of this process by default. */
  readonly directory?: string;
  readonly env: Environment;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly onOutput: (chunk: Uint8Array, from: "stdout" | "stderr") => void;
  readonly clock: Clock;
  /** Time between the stop signal and SIGKILL, milliseconds. */
  readonly stopTimeoutMs: number;
}

/** Time that is left after a second stop signal. */
const SECOND_SIGNAL_MS = 2_000;

/** Time allowed for output that arrives after the end. */
const DRAIN_OUTPUT_MS = 1_000;

/** Poll interval of the remaining process group. */
const GROUP_POLL_MS = 50;

/** Time after SIGKILL within which a group ends, unless a process is blocked in the kernel. */
const KILLED_MS = 2_000;

/**
 * A process in its own process group. Ctrl-C of the terminal reaches it only through its supervisor, and the processes
 * that it leaves behind can be found.
 */
export class Child {
  /** 0 when it could not be started. */
  readonly pid: number;
  /** Resolves when the process and its group have ended. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  readonly #options: ChildOptions;
  #stops = 0;
  #running = true;
  #cancelKill: (() => void) | undefined;
  #killAtMs = Number.POSITIVE_INFINITY;

  constructor(options: ChildOptions) {
    const [file = "", ...args] = options.command;
    this.#options = options;
    const child = spawn(file, args, {
      env: { ...options.env },
      ...(options.directory === undefined ? {} : { cwd: options.directory }),
      detached: true,
      stdio: ["inherit", "pipe", "pipe"],
    });
    this.#process = child;
    this.pid = child.pid ?? 0;
    this.#pass(child.stdout, options.stdout, "stdout");
    this.#pass(child.stderr, options.stderr, "stderr");
    this.ended = this.#end();
  }

  /** Sends the signal, and kills the group when the process takes too long. */
  stop(signal: NodeJS.Signals): void {
    if (!this.#running) return;
    this.#stops += 1;
    this.#process.kill(signal);
    const { stopTimeoutMs } = this.#options;
    this.#killAfter(this.#stops === 1 ? stopTimeoutMs : Math.min(stopTimeoutMs, SECOND_SIGNAL_MS));
  }

  /** Sends SIGTERM unless the process was sent a stop signal before, and kills the group when the grace is over. */
  kill(graceMs: number): void {
    if (!this.#running) return;
    // A worker of the SDK takes a second signal for an order to exit at once.
    if (this.#stops === 0) {
      this.#stops = 1;
      this.#process.kill("SIGTERM");
    }
    this.#killAfter(graceMs);
  }

  /** Kills the group after this time, unless it has ended; sends no signal before. */
  endWithin(delayMs: number): void {
    if (this.#running) this.#killAfter(delayMs);
  }

  /** Kills the group at the earliest of the times that were asked for. */
  #killAfter(delayMs: number): void {
    const { clock } = this.#options;
    const atMs = clock.monotonic() + delayMs;
    if (atMs >= this.#killAtMs) return;
    this.#killAtMs = atMs;
    this.#cancelKill?.();
    this.#cancelKill = clock.after(delayMs, () => signalGroup(this.pid, "SIGKILL"));
  }

  async #end(): Promise<ChildEnd> {
    const closed = new Promise<void>((resolve) => void this.#process.once("close", () => resolve()));
    const end = await new Promise<Omit<ChildEnd, "killedOthers">>((resolve) => {
      this.#process.once("error", (startError) => {
        // This event also reports a signal that could not be sent; the process runs then.
        if (this.pid === 0) resolve({ code: null, signal: null, startError });
      });
      this.#process.once("exit", (code, signal) => resolve({ code, signal, startError: undefined }));
    });
    if (end.startError !== undefined) return { ...end, killedOthers: false };
    const killedOthers = await this.#endGroup();
    this.#running = false;
    this.#cancelKill?.();
    const late = new AbortController();
    await Promise.race([closed, this.#options.clock.sleep(DRAIN_OUTPUT_MS, late.signal)]);
    late.abort();
    // A process that left the group may keep the pipes open, and with them this process.
    this.#process.stdout?.destroy();
    this.#process.stderr?.destroy();
    return { ...end, killedOthers };
  }

  /** Sends SIGTERM to the rest of the group, then SIGKILL. */
  async #endGroup(): Promise<boolean> {
    if (!groupRuns(this.pid)) return false;
    const { clock, stopTimeoutMs } = this.#options;
    signalGroup(this.pid, "SIGTERM");
    if (await this.#groupGone(clock.monotonic() + stopTimeoutMs)) return false;
    signalGroup(this.pid, "SIGKILL");
    await this.#groupGone(clock.monotonic() + KILLED_MS);
    return true;
  }

  async #groupGone(deadline: number): Promise<boolean> {
    const { clock } = this.#options;
    while (groupRuns(this.pid)) {
      if (clock.monotonic() >= deadline) return false;
      await clock.sleep(GROUP_POLL_MS);
    }
    return true;
  }

  /** Passes output through with back-pressure; drops it when the reader has closed. */
  #pass(from: NodeJS.ReadableStream | null, to: NodeJS.WritableStream, name: "stdout" | "stderr"): void {
    if (from === null) return;
    from.on("error", () => {
      // The pipe broke; the end of the process follows.
    });
    let waiting = false;
    const resume = (): void => {
      waiting = false;
      from.resume();
    };
    to.on("close", resume);
    from.on("close", () => to.removeListener("close", resume));
    from.on("data", (chunk: Uint8Array) => {
      this.#options.onOutput(chunk, name);
      if (!to.writable || to.write(chunk) || waiting) return;
      waiting = true;
      from.pause();
      to.once("drain", resume);
    });
  }
}
