/** Starts the processes of the demo and reads their logs. */
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** A JSON log line of Muster. */
export interface LogLine {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A program that the demo started. */
export interface Child {
  readonly name: string;
  /** Asks it to end (SIGTERM) and answers its exit code, or the signal that ended it. */
  stop(): Promise<number | string>;
  /** Ends it without a warning (SIGKILL). */
  kill(): Promise<number | string>;
  /** Settles when it has ended, however. */
  readonly ended: Promise<number | string>;
  /** Last lines that it wrote, for when it failed. */
  tail(): string;
}

const TAIL_LINES = 20;

/** Starts a TypeScript or JavaScript program of the repository with this Node and hands on its log lines. */
export function startChild(
  name: string,
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  onLine: (line: LogLine) => void,
): Child {
  const child = spawn(
    process.execPath,
    [...process.execArgv, fileURLToPath(new URL(program, import.meta.url)), ...args],
    { env: inherit(env), stdio: ["ignore", "pipe", "pipe"] },
  );
  const lines: string[] = [];
  const keep = (line: string) => {
    lines.push(line);
    if (lines.length > TAIL_LINES) lines.shift();
  };
  createInterface({ input: child.stderr }).on("line", keep);
  createInterface({ input: child.stdout }).on("line", (line) => {
    keep(line);
    const parsed = parseLine(line);
    if (parsed) onLine(parsed);
  });
  const ended = whenEnded(child);
  const end = (signal: NodeJS.Signals) => () => {
    child.kill(signal);
    return ended;
  };
  return { name, ended, tail: () => lines.join("\n"), stop: end("SIGTERM"), kill: end("SIGKILL") };
}

function whenEnded(child: ChildProcess): Promise<number | string> {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal ?? "unknown"));
  });
}

function parseLine(line: string): LogLine | undefined {
  if (!line.startsWith("{")) return undefined;
  const value: unknown = JSON.parse(line);
  return typeof value === "object" && value !== null && "event" in value && typeof value.event === "string"
    ? { ...value, event: value.event }
    : undefined;
}

function inherit(env: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  return { ...process.env, ...env };
}
