/** A cgroup that limits the memory of a program. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cgroupFolders, field, KERNEL, type Roots, readText } from "../link/pressure/cgroup.ts";

/** A cgroup of a program's own. */
export class MemoryGroup {
  readonly #folder: string;
  readonly #events: string;

  private constructor(folder: string, events: string) {
    this.#folder = folder;
    this.#events = events;
  }

  /** Makes one below the worker's own; a sentence that says why not where that is not possible. */
  static make(name: string, limitBytes: number, roots: Roots = KERNEL): MemoryGroup | string {
    const { version, folders } = cgroupFolders(roots, "memory");
    const parent = folders.find((each) => existsSync(each));
    if (parent === undefined) return "this system has no cgroups";
    const folder = join(parent, `muster-${name}`);
    const [limit, events] =
      version === 2 ? ["memory.max", "memory.events"] : ["memory.limit_in_bytes", "memory.oom_control"];
    try {
      mkdirSync(folder);
    } catch (error) {
      return `no cgroup can be made in ${parent}: ${messageOf(error)}`;
    }
    try {
      writeFileSync(join(folder, limit), String(limitBytes), { flag: "r+" });
      // Without it the memory goes to swap instead.
      const swap = join(folder, version === 2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes");
      if (existsSync(swap)) writeFileSync(swap, version === 2 ? "0" : String(limitBytes), { flag: "r+" });
    } catch (error) {
      rmdirSync(folder);
      return `the cgroup ${parent} lets no child limit its memory: ${messageOf(error)}`;
    }
    return new MemoryGroup(folder, join(folder, events));
  }

  /** The command line that starts a program within it: the program is the same process, and no shell reads its arguments. */
  within(argv: readonly string[]): string[] {
    return ["/bin/sh", "-c", 'echo $$ > "$0" && exec "$@"', join(this.#folder, "cgroup.procs"), ...argv];
  }

  /** That the kernel killed in it; undefined when it did not. */
  evidence(): string | undefined {
    const kills = field(readText(this.#events), "oom_kill") ?? 0;
    return kills > 0 ? `cgroup oom_kill ${kills} in ${this.#events}` : undefined;
  }

  /** Removes it; its processes must have ended. */
  remove(): void {
    try {
      rmdirSync(this.#folder);
    } catch (error) {
      // A process that the kernel holds is still in it: it stays, empty.
      if (!(error instanceof Error && "code" in error)) throw error;
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
