/** What the caller of this package gives to it: outputs and signals. */
import type { Clock } from "./clock.ts";

/** An output for log lines. */
export interface LogScreen {
  /** True for a terminal, where lines are readable; a pipe gets JSON. */
  readonly isTTY: boolean;
  readonly colors: {
    readonly dim: (text: string) => string;
    readonly red: (text: string) => string;
    readonly yellow: (text: string) => string;
  };
  write(data: string): void;
}

/** Signals that ask a process to stop. */
export type StopSignal = "SIGTERM" | "SIGINT" | "SIGHUP";

/** Signals at which `onStop` calls back. */
export const STOP_SIGNALS: readonly StopSignal[] = ["SIGTERM", "SIGINT", "SIGHUP"];

/** The streams, the clock and the signals of a supervisor. */
export interface SupervisorIo {
  /** Receives the output of the worker. */
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: LogScreen & { readonly stream: NodeJS.WritableStream };
  readonly clock: Clock;
  /** Calls back at every SIGTERM, SIGINT and SIGHUP instead of ending the process. Returns the undo. */
  onStop(callback: (signal: StopSignal) => void): () => void;
}
