/** A program under test: its output, its log lines and its end. */
import { spawn } from "node:child_process";
import { execArgv, execPath, env as processEnv } from "node:process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { cleanedUp, cleanUpLater } from "../clean-up.ts";
import { WAIT_MS } from "../waits.ts";
import { bundled } from "./bundled.ts";
import { faultOfLine } from "./log-lines.ts";

/** A JSON log line of a program under test. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** How a program ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A real process under test: its log lines are the signals that tests wait for. */
export class Program {
  readonly pid: number;
  readonly name: string;
  readonly lines: LogLine[] = [];
  readonly ended: Promise<Exit>;
  readonly #kill: (signal: NodeJS.Signals) => void;
  readonly #watchers = new Set<() => void>();
  #stdout = "";
  #stderr = "";
  #exit: Exit | undefined;

  private constructor(
    name: string,
    file: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    cwd?: string,
    through: readonly string[] = [],
  ) {
    const node = [execPath, ...execArgv.filter((arg) => !arg.startsWith("--test")), file, ...args];
    const [command = execPath, ...rest] = [...through, ...node];
    const child = spawn(command, rest, {
      env: { ...processEnv, NODE_TEST_CONTEXT: undefined, ...env },
      cwd,
      stdio: ["ignore", "pipe", "pipe"],
    });
    if (child.pid === undefined) throw new Error(`${name} could not be started: ${file}`);
    this.name = name;
    this.pid = child.pid;
    this.#kill = (signal) => child.kill(signal);
    createInterface({ input: child.stdout }).on("line", (line) => this.#take(line));
    child.stderr.on("data", (chunk: Buffer) => {
      this.#stderr += chunk.toString();
    });
    this.ended = new Promise((resolve) => {
      child.once("close", (code, signal) => {
        this.#exit = { code, signal };
        this.#tell();
        resolve({ code, signal });
      });
    });
    running.add(this);
    cleanUpLater(this, () => this.#killNow());
    void this.ended.then(() => {
      running.delete(this);
      cleanedUp(this);
    });
  }

  /** Starts a file, or its bundle, with this Node; `file` is relative to the caller's `base` (import.meta.url). */
  static start(
    name: string,
    file: string,
    options: {
      base: string;
      args?: readonly string[];
      env?: Readonly<Record<string, string>>;
      cwd?: string;
      /** A command that becomes the program: `prlimit`, for example. */
      through?: readonly string[];
    },
  ): Program {
    return new Program(
      name,
      bundled(fileURLToPath(new URL(file, options.base)), options.env),
      options.args ?? [],
      options.env ?? {},
      options.cwd,
      options.through,
    );
  }

  get stdout(): string {
    return this.#stdout;
  }

  get stderr(): string {
    return this.#stderr;
  }

  get alive(): boolean {
    return this.#exit === undefined;
  }

  kill(signal: NodeJS.Signals): void {
    this.#kill(signal);
  }

  /** Sends the signal and waits for the end. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> {
    // A stopped process takes no other signal than SIGKILL.
    if (this.alive) this.#kill(signal);
    return this.ended;
  }

  #killNow(): Promise<Exit> {
    // A stopped process ends at once, too.
    this.#kill("SIGCONT");
    return this.end("SIGKILL");
  }

  /** Position in the log, to wait only for what comes later. */
  mark(): number {
    return this.lines.length;
  }

  /** The first line of the event that fits, now or later. */
  async line(
    event: string,
    fits: (line: LogLine) => boolean = () => true,
    { after = 0, withinMs = WAIT_MS }: { after?: number; withinMs?: number } = {},
  ): Promise<LogLine> {
    const find = () => this.lines.slice(after).find((line) => line.event === event && fits(line));
    const deadline = performance.now() + withinMs;
    for (let found = find(); ; found = find()) {
      if (found) return found;
      const left = deadline - performance.now();
      if (left <= 0 || !this.alive) {
        const why = this.alive ? `within ${withinMs} ms` : `before it ended (${JSON.stringify(this.#exit)})`;
        throw new Error(`${this.name} did not log ${event} ${why}. Its last lines:\n${this.tail()}`);
      }
      await this.#next(left);
    }
  }

  tail(): string {
    return `${this.#stdout.split("\n").slice(-15).join("\n")}\n${this.#stderr.slice(-2_000)}`;
  }

  #take(line: string): void {
    this.#stdout += `${line}\n`;
    if (!line.startsWith("{")) return;
    const value: unknown = JSON.parse(line);
    if (typeof value === "object" && value !== null && "event" in value && typeof value.event === "string") {
      const { event } = value;
      const fault = faultOfLine(line, { event, level: "level" in value ? value.level : undefined });
      if (fault !== undefined) lineFaults.add(`${this.name}: ${fault}`);
      this.lines.push({ ...value, event: value.event });
      this.#tell();
    }
  }

  #tell(): void {
    for (const watcher of this.#watchers) watcher();
  }

  #next(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        this.#watchers.delete(done);
        resolve();
      };
      const timer = setTimeout(done, withinMs);
      this.#watchers.add(done);
    });
  }
}

const running = new Set<Program>();

/** What was wrong with lines of any program so far. */
const lineFaults = new Set<string>();

/** A check of what is about to be killed. */
type LastLook = () => Promise<void>;

const lastLooks: LastLook[] = [];

/** Calls it whenever `killAll` is about to kill. */
export function beforeKillAll(look: LastLook): void {
  lastLooks.push(look);
}

/** Kills what a failed test left behind; call it in an `after` hook. Fails when a last check does, after the kill. */
export async function killAll(): Promise<void> {
  const looks = await Promise.allSettled(lastLooks.map((look) => look()));
  await Promise.all(
    [...running].map((program) => {
      program.kill("SIGCONT");
      program.kill("SIGKILL");
      return program.ended;
    }),
  );
  for (const look of looks) if (look.status === "rejected") throw look.reason;
  if (lineFaults.size > 0) throw new Error([...lineFaults].join("\n"));
}
