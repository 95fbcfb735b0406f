/** What the process driver passes to the supervisor of one worker, on its standard input. */
export interface SupervisedOrder {
  readonly folder: string;
  readonly launchId: string;
  readonly workerId: string;
  readonly pool: string;
  readonly command: readonly string[];
  readonly directory: string;
  readonly env: Readonly<Record<string, string>>;
  readonly registerTimeoutMs: number;
  /** From SIGTERM to SIGKILL. */
  readonly stopTimeoutMs: number;
}

/** A supervisor that receives a second stop signal kills the worker within this, milliseconds. */
export const SECOND_STOP_MS = 2_000;
