/** Finds out whether the kernel killed a process for its memory. */
import { readFileSync } from "node:fs";

/** The kernel's counter of processes that were killed because a cgroup ran out of memory. */
interface Counter {
  readonly file: string;
  readonly before: number;
}

/**
 * Detects out-of-memory kills in the cgroup of a process. Without readable cgroups it has no evidence.
 */
export class MemoryWatch {
  readonly #pid: number;
  readonly #proc: string;
  readonly #sys: string;
  readonly #counters = new Map<string, Counter>();

  /** @param roots Where `/proc` and `/sys/fs/cgroup` are. */
  constructor(pid: number, roots: { proc?: string; sys?: string } = {}) {
    this.#pid = pid;
    this.#proc = roots.proc ?? "/proc";
    this.#sys = roots.sys ?? "/sys/fs/cgroup";
  }

  /** Reads the cgroup of the process. Call it at the start and at intervals, because the process may be moved. */
  look(): void {
    for (const file of this.#candidates()) {
      if (this.#counters.has(file)) return;
      const before = killsIn(file);
      if (before === undefined) continue;
      this.#counters.set(file, { file, before });
      return;
    }
  }

  /** The evidence of a kill in its cgroup since then; undefined when there is none. */
  evidence(): string | undefined {
    for (const { file, before } of this.#counters.values()) {
      const now = killsIn(file);
      if (now !== undefined && now > before) return `cgroup oom_kill ${before} -> ${now} in ${file}`;
    }
    return undefined;
  }

  /** Files that may hold the counter, the likeliest first. */
  #candidates(): string[] {
    const lines = (read(`${this.#proc}/${this.#pid}/cgroup`) ?? "").split("\n");
    return lines.flatMap((line) => {
      const [hierarchy = "", controllers = "", ...rest] = line.split(":");
      const path = rest.join(":").replace(/\/$/, "");
      // Within a container the path may be that of the host; the container's own group is then the root.
      if (controllers.split(",").includes("memory")) {
        const root = `${this.#sys}/memory`;
        return [`${root}${path}/memory.oom_control`, `${root}/memory.oom_control`];
      }
      if (hierarchy !== "0") return [];
      return [`${this.#sys}${path}/memory.events`, `${this.#sys}/memory.events`];
    });
  }
}

function killsIn(file: string): number | undefined {
  const count = /^oom_kill (\d+)$/m.exec(read(file) ?? "")?.[1];
  return count === undefined ? undefined : Number(count);
}

/** Text of a file of the kernel; undefined when it does not exist or is not readable. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
