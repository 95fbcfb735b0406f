import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import type { Clock } from "../../clock.ts";
import type { Environment } from "../../config.ts";
import { groupRuns, signalGroup } from "./process-group.ts";

/** How a process ended. */
export interface ChildEnd {
  /** Null when a signal ended it or it never ran. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** Why it could not be started; undefined when it ran. */
  readonly startError: NodeJS.ErrnoException | undefined;
  /** Processes that it left behind had to be killed. */
  readonly killedOthers: boolean;
}

/** Where the output of a process goes besides the screen. */
export interface ChildOptions {
  readonly command: readonly string[];
  readonly env: Environment;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  readonly onOutput: (chunk: Uint8Array, from: "stdout" | "stderr") => void;
  readonly clock: Clock;
  /** How long a process that was asked to stop may take before it is killed, milliseconds. */
  readonly stopTimeoutMs: number;
}

/** After a second request to stop the process has this long. */
const SECOND_SIGNAL_MS = 2_000;

/** Output that is still on its way after the end is waited for this long. */
const DRAIN_OUTPUT_MS = 1_000;

/** How often the rest of a group is looked at. */
const GROUP_POLL_MS = 50;

/** After SIGKILL a group is gone within this, unless the kernel holds on to a process. */
const KILLED_MS = 2_000;

/**
 * A process in a group of its own: a Ctrl-C of the terminal reaches it only through its supervisor, and what
 * it leaves behind is found.
 */
export class Child {
  /** 0 when it could not be started. */
  readonly pid: number;
  /** Resolves when it and every process of its group are gone. Never rejects. */
  readonly ended: Promise<ChildEnd>;
  readonly #process: ChildProcess;
  readonly #options: ChildOptions;
  #stops = 0;
  #running = true;
  #cancelKill: (() => void) | undefined;

  constructor(options: ChildOptions) {
    const [file = "", ...args] = options.command;
    this.#options = options;
    const child = spawn(file, args, {
      env: { ...options.env },
      detached: true,
      stdio: ["inherit", "pipe", "pipe"],
    });
    this.#process = child;
    this.pid = child.pid ?? 0;
    this.#pass(child.stdout, options.stdout, "stdout");
    this.#pass(child.stderr, options.stderr, "stderr");
    this.ended = this.#end();
  }

  /** Asks it to stop: passes the signal on, and kills its group when it takes too long. */
  stop(signal: NodeJS.Signals): void {
    if (!this.#running) return;
    this.#stops += 1;
    this.#process.kill(signal);
    this.#cancelKill?.();
    const { clock, stopTimeoutMs } = this.#options;
    const afterMs = this.#stops === 1 ? stopTimeoutMs : Math.min(stopTimeoutMs, SECOND_SIGNAL_MS);
    this.#cancelKill = clock.after(afterMs, () => signalGroup(this.pid, "SIGKILL"));
  }

  async #end(): Promise<ChildEnd> {
    const closed = new Promise<void>((resolve) => void this.#process.once("close", () => resolve()));
    const end = await new Promise<Omit<ChildEnd, "killedOthers">>((resolve) => {
      this.#process.once("error", (startError) => {
        // Also told when a signal could not be sent; the process runs then.
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
    // What escaped the group may hold the pipes open, and with them this process.
    this.#process.stdout?.destroy();
    this.#process.stderr?.destroy();
    return { ...end, killedOthers };
  }

  /** What the process left behind in its group is asked to stop, then killed. */
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

  /** Passes output through as it comes, no faster than it is taken; dropped when nobody reads any more. */
  #pass(from: NodeJS.ReadableStream | null, to: NodeJS.WritableStream, name: "stdout" | "stderr"): void {
    if (from === null) return;
    from.on("error", () => {
      // The pipe broke: the process's end says the rest.
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
