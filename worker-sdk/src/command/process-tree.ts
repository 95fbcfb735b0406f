/** Finds and ends every process that a program has started. */
import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";
import { groupRuns, signalGroup } from "@muster/common/process/process-group";
import type { Clock } from "../clock.ts";

/** Variable by which processes are found that have left the group of the program: its children inherit it. */
export const MARK = "MUSTER_COMMAND_ID";

/** Interval at which a tree that was signalled is looked at. */
const LOOK_EVERY_MS = 50;

/** How long processes may take to be gone after SIGKILL, unless the kernel holds them. */
const KILLED_MS = 2_000;

/** A program and what it has started: its process group, and on Linux also processes that made groups of their own. */
export class ProcessTree {
  readonly #pid: number;
  readonly #mark: string;
  readonly #clock: Clock;

  /** @param mark Value of the variable of the program that marks it. */
  constructor(pid: number, mark: string, clock: Clock, variable = MARK) {
    this.#pid = pid;
    this.#mark = `${variable}=${mark}\0`;
    this.#clock = clock;
  }

  get isRunning(): boolean {
    return groupRuns(this.#pid) || marked(this.#mark).length > 0;
  }

  /** Sends the signal to every process of the tree. */
  signal(signal: NodeJS.Signals): void {
    const others = marked(this.#mark);
    // Before the group: one of its own processes may be the caller.
    for (const pid of others.filter((each) => each !== process.pid)) {
      try {
        process.kill(pid, signal);
      } catch (error) {
        // It has ended meanwhile, or it has another account now.
        if (!(error instanceof Error && "code" in error)) throw error;
      }
    }
    signalGroup(this.#pid, signal);
  }

  /** Waits until no process of the tree runs, then kills those that do. True when it killed. */
  async end(graceMs: number): Promise<boolean> {
    if (await this.#isGoneBy(this.#clock.monotonicMs() + graceMs)) return false;
    const deadline = this.#clock.monotonicMs() + KILLED_MS;
    // A process may start another one while the list of processes is read.
    do {
      this.signal("SIGKILL");
    } while (
      !(await this.#isGoneBy(this.#clock.monotonicMs() + LOOK_EVERY_MS)) &&
      this.#clock.monotonicMs() < deadline
    );
    return true;
  }

  async #isGoneBy(deadlineMs: number): Promise<boolean> {
    while (this.isRunning) {
      if (this.#clock.monotonicMs() >= deadlineMs) return false;
      await new Promise<void>((resolve) => void this.#clock.after(LOOK_EVERY_MS, resolve));
    }
    return true;
  }
}

/** Processes with this variable in their environment; none where the system does not show it. Zombies have none. */
function marked(mark: string): number[] {
  if (platform() !== "linux") return [];
  return readdirSync("/proc").flatMap((name) => {
    if (!/^\d+$/.test(name)) return [];
    try {
      // Bytes as they are: a variable need not be UTF-8.
      return readFileSync(`/proc/${name}/environ`, "latin1").includes(mark) ? [Number(name)] : [];
    } catch (error) {
      // It has ended, or is another account's.
      if (error instanceof Error && "code" in error) return [];
      throw error;
    }
  });
}
