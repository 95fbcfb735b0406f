/** Identifies a process that is not a child: pids are used again. */
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { platform } from "node:os";

/**
 * When a process started, in the system's own form: with the pid it identifies the process. Undefined when it has ended; a
 * zombie has ended.
 */
export function processStart(pid: number): string | undefined {
  if (platform() !== "linux") return startByPs(pid);
  let line: string;
  try {
    line = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ESRCH"))
      return undefined;
    throw error;
  }
  // "pid (program) state ppid ...": the name may hold spaces and brackets, so the last bracket decides.
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return fields[0] === "Z" || fields[0] === "X" ? undefined : fields[19];
}

function startByPs(pid: number): string | undefined {
  try {
    const output = execFileSync("ps", ["-o", "state=,lstart=", "-p", String(pid)], {
      encoding: "utf8",
      timeout: 10_000,
      stdio: ["ignore", "pipe", "ignore"],
    });
    const found = /^(\S+)\s+(.+)$/.exec(output.trim());
    return found?.[1]?.startsWith("Z") ? undefined : found?.[2];
  } catch (error) {
    // `ps` ends with 1 when there is no such process.
    if (error instanceof Error && "status" in error && error.status === 1) return undefined;
    throw error;
  }
}
