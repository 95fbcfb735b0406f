/** Finds processes that a test has left behind. */
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { WAIT_MS } from "../waits.ts";

/** Processes of the test do not mention the folder by themselves; those that it starts do. */
function isOf(pid: string, mark: string): boolean {
  // PostgreSQL's processes rename themselves, but all of them stand in the data folder.
  return [
    () => readlinkSync(`/proc/${pid}/cwd`),
    () => readFileSync(`/proc/${pid}/cmdline`, "utf8"),
    () => readFileSync(`/proc/${pid}/environ`, "utf8"),
  ].some((look) => {
    try {
      return look().includes(mark);
    } catch {
      // It ended in the meantime, or belongs to another account.
      return false;
    }
  });
}

/**
 * Command lines of the running processes that have `mark` (a folder of the test's own) in their arguments,
 * environment or working directory. Linux only; elsewhere nothing is found.
 */
export function processesOf(mark: string): string[] {
  if (process.platform !== "linux") return [];
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid && isOf(name, mark))
    .map((pid) => `${pid}: ${commandLine(pid)}`);
}

function commandLine(pid: string): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
  } catch {
    return "(ended)";
  }
}

/** Waits until no process is left, or throws with those that are. They are not our children: only asking helps. */
export async function nothingLeftOf(mark: string): Promise<void> {
  const deadline = performance.now() + WAIT_MS;
  for (let left = processesOf(mark); left.length > 0; left = processesOf(mark)) {
    if (performance.now() > deadline) throw new Error(`still running:\n${left.join("\n")}`);
    await delay(50);
  }
}
