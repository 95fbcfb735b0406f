/** Runs the real program in tests. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { env as ownEnv } from "node:process";
import { fileURLToPath } from "node:url";

/** The program, or its bundle where the suite has made one: that starts in a quarter of the processor time. */
const BIN = ownEnv.MUSTER_TEST_BUNDLES
  ? join(ownEnv.MUSTER_TEST_BUNDLES, "cli/bin/muster.js")
  : fileURLToPath(new URL("../../bin/muster.js", import.meta.url));

/** Where compiled code is kept; a program of a test gets no other variable of the suite. */
const COMPILED: Record<string, string> = ownEnv.NODE_COMPILE_CACHE
  ? { NODE_COMPILE_CACHE: ownEnv.NODE_COMPILE_CACHE }
  : {};

/** How a run of the real program ended. */
export interface Ended {
  readonly exitCode: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: Buffer;
  readonly stderr: string;
}

/** A running program; disposing kills it. */
export interface MusterProcess extends AsyncDisposable {
  readonly ended: Promise<Ended>;
  /** Resolves when stdout contains `text`; rejects when the program ends before. */
  sawStdout(text: string): Promise<void>;
  /** The same for stderr. */
  sawStderr(text: string): Promise<void>;
  /** Closes our end of its stdout, as `head -1` does. */
  stopReading(): void;
  kill(signal: NodeJS.Signals): void;
}

/** Starts `cli/bin/muster.js` as npm would, with its streams piped. */
export function startMuster(
  args: readonly string[],
  { stdin = "", env = {} }: { stdin?: string; env?: Record<string, string> } = {},
): MusterProcess {
  const child = spawn(process.execPath, ["--conditions=muster-source", BIN, ...args], {
    env: { PATH: "/usr/bin:/bin", ...COMPILED, ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => {
    // A program that does not read its input may end before all of it is written.
  });
  child.stdin.end(stdin);
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, signal) =>
      resolve({
        exitCode,
        signal,
        stdout: Buffer.concat(stdout),
        stderr: Buffer.concat(stderr).toString(),
      }),
    );
  });
  const saw = (chunks: readonly Buffer[], stream: NodeJS.ReadableStream, text: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        if (Buffer.concat(chunks).includes(text)) resolve();
      };
      stream.on("data", look);
      look();
      ended.then(({ exitCode, stderr: output }) => {
        reject(new Error(`muster ended with ${exitCode} before it wrote "${text}":\n${output}`));
      }, reject);
    });
  return {
    ended,
    sawStdout: (text) => saw(stdout, child.stdout, text),
    sawStderr: (text) => saw(stderr, child.stderr, text),
    stopReading: () => child.stdout.destroy(),
    kill: (signal) => child.kill(signal),
    async [Symbol.asyncDispose]() {
      child.kill("SIGKILL");
      await ended;
    },
  };
}

/** Runs the real program to its end. */
export function runMuster(
  args: readonly string[],
  options: { stdin?: string; env?: Record<string, string> } = {},
): Promise<Ended> {
  return startMuster(args, options).ended;
}
