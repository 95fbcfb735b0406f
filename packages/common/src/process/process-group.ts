/** Sends signals to process groups. */
import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";

/** Sends a signal to every process of a group; a group that has ended is ignored. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!isGone(error)) throw error;
  }
}

/** Whether a process of the group still runs. Zombies do not count. */
export function groupRuns(group: number): boolean {
  try {
    process.kill(-group, 0);
  } catch (error) {
    if (isGone(error)) return false;
    throw error;
  }
  return platform() !== "linux" || livingMembers(group) > 0;
}

/** Counts running processes: in a container without an init, orphans stay in the process table as zombies. */
function livingMembers(group: number): number {
  return readdirSync("/proc").filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      // After the name in brackets, which may contain any character: state, parent, group.
      const stat = readFileSync(`/proc/${name}/stat`, "utf8");
      const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      return Number(pgrp) === group && state !== "Z" && state !== "X";
    } catch (error) {
      if (error instanceof Error && "code" in error) return false;
      throw error;
    }
  }).length;
}

function isGone(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ESRCH" || error.code === "EPERM");
}
