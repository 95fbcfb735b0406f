/** Ends the worker when its supervisor has ended. */
import type { Clock } from "../clock.ts";
import type { Environment } from "../options/connection-options.ts";

/** Interval at which a worker checks that its supervisor runs. */
const LOOK_EVERY_MS = 1000;

/**
 * Calls back once when the supervisor that started this process (`MUSTER_SUPERVISOR_PID`, set by `muster run`) has
 * ended: signals are then no longer forwarded, and the end of this process is not reported. It never calls without a
 * supervisor, or where a container boundary makes its pid meaningless. The returned function ends the watch.
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
