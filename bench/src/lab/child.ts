/** Child processes of the bench: their log lines, their use of CPU and memory, and their end. */
import { type ChildProcess, fork } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { execArgv, env as ownEnv } from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import type { Cleanup } from "./cleanup.ts";

const TAIL_LINES = 40;

/** How long a child may take to end after SIGTERM. */
const STOP_MS = 20_000;

/** A line of structured log: Muster's programs write one JSON object a line. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

/**
 * The file of a program, or its bundle in the folder that a smoke test names: that starts in half the processor time. One
 * into which modules are put beside the probe has its own files: a bundle has other modules.
 */
function fileOf(program: string, execArgs: readonly string[]): string {
  const { BENCH_BUNDLES: bundles } = ownEnv;
  const imports = execArgs.filter((arg) => arg === "--import").length;
  if (bundles && imports < 2) return join(bundles, `${program}.js`);
  return fileURLToPath(new URL(`../${program}`, import.meta.url));
}

/** CPU and memory that a process used, as the kernel counts. */
export interface Usage {
  /** User and system time of all threads, milliseconds. */
  readonly cpuMs: number;
  readonly rssBytes: number;
}

/**
 * A program of the bench in a process of its own. It hangs on an IPC channel, so it ends also when the bench is
 * killed; its log lines and messages are the signals that measures wait for.
 */
export class Child {
  readonly name: string;
  readonly pid: number;
  readonly ended: Promise<string>;
  /** Ends it in an orderly way (SIGTERM, after 20 s SIGKILL). */
  readonly stop: () => Promise<void>;
  readonly #process: ChildProcess;
  readonly #lines: LogLine[] = [];
  readonly #tail: string[] = [];
  readonly #watchers = new Set<() => void>();
  #exit: string | undefined;

  /**
   * @param options.program TypeScript file, relative to this folder's parent.
   * @param options.execArgv Further arguments of Node, for example `--cpu-prof`.
   */
  constructor(
    cleanup: Cleanup,
    options: {
      readonly name: string;
      readonly program: string;
      readonly args?: readonly string[];
      readonly env?: Readonly<Record<string, string>>;
      readonly execArgv?: readonly string[];
    },
  ) {
    const path = fileOf(options.program, options.execArgv ?? []);
    const child = fork(path, [...(options.args ?? [])], {
      env: { ...ownEnv, ...options.env },
      execArgv: [...execArgv, ...(options.execArgv ?? [])],
      // A group of its own: Ctrl-C is for the bench, which ends its programs in order.
      detached: true,
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    if (child.pid === undefined) throw new Error(`${options.name} could not be started: ${path}`);
    this.name = options.name;
    this.pid = child.pid;
    this.#process = child;
    for (const stream of [child.stdout, child.stderr]) {
      if (stream) createInterface({ input: stream }).on("line", (line) => this.#take(line));
    }
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#exit = code === null ? String(signal) : `exit code ${code}`;
        this.#tell();
        resolve(this.#exit);
      });
    });
    this.stop = cleanup.add(this.name, () => this.#end());
  }

  /** Sends a signal, for measures that need a worker or scheduler to vanish. */
  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Sends a message to the program. */
  send(message: object): void {
    if (!this.#process.connected) throw new Error(`${this.name} has ended (${this.#exit}):\n${this.tail()}`);
    this.#process.send(message);
  }

  /** Calls `take` with every message of the program. */
  onMessage(take: (message: unknown) => void): void {
    this.#process.on("message", take);
  }

  /** The first log line of the event that fits, now or later. @throws Error when the program ends first. */
  async line(event: string, fits: (line: LogLine) => boolean = () => true): Promise<LogLine> {
    for (;;) {
      const found = this.#lines.find((line) => line.event === event && fits(line));
      if (found) return found;
      if (this.#exit !== undefined) {
        throw new Error(`${this.name} ended (${this.#exit}) before it logged ${event}:\n${this.tail()}`);
      }
      await new Promise<void>((resolve) => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
    }
  }

  /** Last lines that it wrote, for when it failed. */
  tail(): string {
    return this.#tail.join("\n");
  }

  /** What it has used since it began. Linux only: read from /proc. */
  async usage(): Promise<Usage> {
    return usageOf(this.pid);
  }

  #take(line: string): void {
    this.#tail.push(line);
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    if (!line.startsWith("{")) return;
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && "event" in value && typeof value.event === "string") {
      this.#lines.push({ ...value, event: value.event });
      this.#tell();
    }
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  async #end(): Promise<void> {
    if (this.#exit !== undefined) return;
    this.#process.kill("SIGTERM");
    const timer = setTimeout(() => this.#process.kill("SIGKILL"), STOP_MS);
    await this.ended;
    clearTimeout(timer);
  }
}

/** Kernel ticks a second: fixed in Linux's interface to user space. */
const TICKS_PER_SECOND = 100;
const PAGE_BYTES = 4_096;

/** What a process has used. Linux only. */
export async function usageOf(pid: number): Promise<Usage> {
  const fields = await statOf(pid);
  return { cpuMs: ticksToMs(fields, [11, 12]), rssBytes: Number(fields[21]) * PAGE_BYTES };
}

/** CPU of a process with its children, those included that have ended and were waited for. Linux only. */
export async function cpuOfFamily(pid: number): Promise<number> {
  const children = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  const ofChildren = await Promise.all(
    children.filter(Boolean).map((child) => cpuUnlessEnded(Number(child))),
  );
  return ticksToMs(await statOf(pid), [11, 12, 13, 14]) + ofChildren.reduce((sum, ms) => sum + ms, 0);
}

async function cpuUnlessEnded(pid: number): Promise<number> {
  try {
    return (await usageOf(pid)).cpuMs;
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH"))
      return 0;
    throw error;
  }
}

/** Fields of /proc/PID/stat from the third on. */
async function statOf(pid: number): Promise<string[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  // The second field is the command in parentheses and may hold spaces.
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

function ticksToMs(fields: readonly string[], places: readonly number[]): number {
  const ticks = places.reduce((sum, place) => sum + Number(fields[place]), 0);
  return (ticks * 1_000) / TICKS_PER_SECOND;
}
