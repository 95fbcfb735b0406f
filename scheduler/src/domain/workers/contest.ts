/**
 * Two living processes with one worker id take it from each other again and again, and each time what runs is
 * interrupted. The first takeover is immediate, as a rolling restart needs it; each further one within the window
 * waits until the holder has had the id for twice as long as before.
 */

/** Takeovers that are longer ago are forgotten. */
export const CONTEST_WINDOW_MS = 15 * 60_000;

/** How long the holder keeps the id after the first takeover, and at most. */
export const FIRST_TENURE_MS = 5_000;
export const LAST_TENURE_MS = 300_000;

/** A process that waits asks again after so long at the latest: the holder may end at any time. */
const ASK_AGAIN_MS = 15_000;

/** A process by its machine and pid, as its hello named them. */
export interface ProcessName {
  readonly hostname: string;
  readonly pid: number;
}

/** A registration that has to wait, because another living process has the worker id. */
export interface Contested {
  readonly holder: ProcessName;
  /** Since the holder took the id from another living process, milliseconds. */
  readonly heldMs: number;
  /** Until the id may be taken again, milliseconds. */
  readonly leftMs: number;
  /** How often the id went from one living process to another within the window. */
  readonly takeovers: number;
}

/** What is known of a fight over a worker id. */
export interface Contest {
  readonly workerId: string;
  /** Has the id now. */
  readonly holder: ProcessName;
  /** Waits for it, or had it before. */
  readonly other: ProcessName;
  /** The other asked for the id and has to wait; false when the holder has just taken it from the other. */
  readonly waits: boolean;
  /** When the process that had to wait last asked for the id. */
  readonly askedTime: Date;
  /** How often the id went from one living process to another within the window. */
  readonly takeovers: number;
}

/** Wait until a process that may not take the id now asks again, milliseconds. */
export function askAgainMs({ leftMs }: Contested): number {
  return Math.min(ASK_AGAIN_MS, Math.max(100, Math.ceil(leftMs)));
}

/** `process 17 on host-a`. */
export function processInWords({ hostname, pid }: ProcessName): string {
  return `process ${pid} on ${hostname || "an unnamed host"}`;
}
