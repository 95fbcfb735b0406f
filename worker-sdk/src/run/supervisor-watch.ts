import type { Clock } from "../clock.ts";
import type { Environment } from "../options/connection-options.ts";

/** How often a worker looks whether its supervisor still runs. */
const LOOK_EVERY_MS = 1000;

/**
 * Calls back once when the supervisor that started this process (`MUSTER_SUPERVISOR_PID`, set by
 * `muster run`) is gone: nobody would pass a signal on or tell of this process's end any more. Without a
 * supervisor, or where its pid means nothing because a container is between, it never calls. The answer
 * ends the watch.
 */
export function watchSupervisor(env: Environment, clock: Clock, onGone: () => void): () => void {
  const supervisor = Number(env.MUSTER_SUPERVISOR_PID);
  if (!Number.isInteger(supervisor) || supervisor <= 0) return () => {};
  const runs = process.ppid === supervisor ? () => process.ppid === supervisor : () => exists(supervisor);
  if (!runs()) return () => {};
  const stop = clock.every(LOOK_EVERY_MS, () => {
    if (runs()) return;
    stop();
    onGone();
  });
  return stop;
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error) return error.code === "EPERM";
    throw error;
  }
}
