import { readFileSync } from "node:fs";

/** Where the kernel counts the processes that it killed because a cgroup's memory ran out. */
interface Counter {
  readonly file: string;
  readonly before: number;
}

/**
 * Watches whether the kernel kills for memory in the cgroup of a process. Where there are no cgroups, or
 * none that may be read, it never says anything.
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

  /** Looks which cgroup the process is in: call it at the start and now and then, because it may be moved. */
  look(): void {
    for (const file of this.#candidates()) {
      if (this.#counters.has(file)) return;
      const before = killsIn(file);
      if (before === undefined) continue;
      this.#counters.set(file, { file, before });
      return;
    }
  }

  /** What says that the kernel killed in its cgroup since; undefined when nothing does. */
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

/** Text of a file of the kernel's; undefined when it is not there or not ours to read. */
function read(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}
