/** The exit codes, which are part of the CLI's contract. */
export const ExitCode = {
  DONE: 0,
  FAILED: 1,
  USAGE: 2,
  NOT_FOUND: 3,
  REFUSED: 4,
  UNREACHABLE: 5,
  /** The wait for a task ended before the task did: `--wait-timeout`. */
  WAIT_TIMED_OUT: 6,
  /** Ended by Ctrl-C, as shells count it: 128 + SIGINT. */
  INTERRUPTED: 130,
} as const;

/** One of the exit codes. */
export type ExitCode = (typeof ExitCode)[keyof typeof ExitCode];
