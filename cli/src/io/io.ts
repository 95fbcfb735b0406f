/** The streams of a command, and its colours. */
import type { createColors } from "picocolors";
import pc from "picocolors";
import type { Clock } from "../clock.ts";
import { systemClock } from "../clock.ts";
import type { Environment } from "../config.ts";
import { ExitCode } from "../exit-codes.ts";
import { openTerminal, type Terminal } from "./terminal.ts";

/** Functions that colour text; they return it unchanged where colours are off. */
export type Colors = ReturnType<typeof createColors>;

/** An output: a terminal or a pipe. */
export interface Screen {
  /** True for a terminal, where output is readable; a pipe gets machine-readable output. */
  readonly isTTY: boolean;
  /** Characters in a line. */
  readonly columns: number;
  readonly colors: Colors;
  write(data: string | Uint8Array): void;
}

/** Signals that ask a process to stop. */
export type StopSignal = "SIGTERM" | "SIGINT" | "SIGHUP";

const STOP_SIGNALS: readonly StopSignal[] = ["SIGTERM", "SIGINT", "SIGHUP"];

/** All that a command uses besides the scheduler: streams, environment, clock, signals. */
export interface Io {
  readonly stdin: AsyncIterable<Uint8Array | string> & { readonly isTTY?: boolean };
  readonly stdout: Screen & { readonly stream: NodeJS.WritableStream };
  readonly stderr: Screen & { readonly stream: NodeJS.WritableStream };
  readonly env: Environment;
  readonly clock: Clock;
  /** Calls back at the first Ctrl-C instead of ending the process. Returns the undo. */
  onInterrupt(callback: () => void): () => void;
  /** Takes exclusive control of the terminal; stdout must be one. */
  openTerminal(): Terminal;
  /** Calls back at every SIGTERM, SIGINT and SIGHUP instead of ending the process. Returns the undo. */
  onStop(callback: (signal: StopSignal) => void): () => void;
  /** From now on the process does not end when its stdout or stderr cannot be written any more. */
  ignorePipeErrors(): void;
}

/**
 * The process's own streams and clock. The process ends with 0 when the reader of its stdout closes it
 * (`muster tasks | head -1`), and with 1 when stdout cannot be written (its disk is full), unless `ignorePipeErrors` was
 * called.
 */
export function processIo(env: Environment): Io {
  let endsWithReader = true;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    const left = error.code === "EPIPE";
    if (!left) process.stderr.write(`error: standard output cannot be written: ${error.message}\n`);
    if (endsWithReader) process.exit(left ? ExitCode.DONE : ExitCode.FAILED);
  });
  process.stderr.on("error", (error: NodeJS.ErrnoException) => {
    // No output is left for a message.
    if (error.code !== "EPIPE" && endsWithReader) process.exit(ExitCode.FAILED);
  });
  return {
    stdin: process.stdin,
    stdout: { ...screenOf(process.stdout, env), stream: process.stdout },
    stderr: { ...screenOf(process.stderr, env), stream: process.stderr },
    env,
    clock: systemClock,
    onInterrupt(callback) {
      process.once("SIGINT", callback);
      return () => process.off("SIGINT", callback);
    },
    openTerminal: () => openTerminal(process.stdin, process.stdout),
    onStop(callback) {
      for (const signal of STOP_SIGNALS) process.on(signal, callback);
      return () => {
        for (const signal of STOP_SIGNALS) process.off(signal, callback);
      };
    },
    ignorePipeErrors() {
      endsWithReader = false;
    },
  };
}

/** Whether to colour a terminal: not when `NO_COLOR` is set (https://no-color.org). */
export function wantsColors(isTTY: boolean, env: Environment): boolean {
  return isTTY && !env.NO_COLOR && env.TERM !== "dumb";
}

function screenOf(stream: NodeJS.WriteStream, env: Environment): Screen {
  const isTTY = stream.isTTY === true;
  return {
    isTTY,
    columns: stream.columns || 80,
    colors: pc.createColors(wantsColors(isTTY, env)),
    write(data) {
      stream.write(data);
    },
  };
}
