/** Processes that a worker has started. */
import { readdirSync, readFileSync } from "node:fs";
import { platform } from "node:os";

/** The parents of all processes; empty where the system does not show them. */
function parents(): Map<number, number> {
  if (platform() !== "linux") return new Map();
  return new Map(
    readdirSync("/proc").flatMap((name) => {
      const parent = /^\d+$/.test(name) ? parentOf(Number(name)) : undefined;
      return parent === undefined ? [] : [[Number(name), parent] as const];
    }),
  );
}

function parentOf(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // After the name in brackets, which may contain any character: state, parent.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

/** True for a process that the ancestor, or one of its descendants, has started. True where the system does not show it. */
export function isDescendant(pid: number, ancestor: number): boolean {
  if (platform() !== "linux") return true;
  for (let each = parentOf(pid); each !== undefined && each > 1; each = parentOf(each))
    if (each === ancestor) return true;
  return false;
}

/** Kills a process and all that it has started, the youngest last. */
export function killFamily(pid: number): void {
  const all = parents();
  const family = [pid];
  for (const member of family) for (const [child, parent] of all) if (parent === member) family.push(child);
  for (const member of family) {
    try {
      process.kill(member, "SIGKILL");
    } catch (error) {
      // It has ended meanwhile, or it has another account now.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }
}
