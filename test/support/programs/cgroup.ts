import { mkdirSync, readFileSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pid } from "node:process";

/** A memory cgroup of a test's own. */
export interface TestCgroup {
  /** A command that runs `command` within it. */
  within(command: readonly string[]): string[];
  /** Removes it; its processes must have ended. */
  remove(): void;
}

/** Makes a cgroup with a memory limit below the one we are in; a sentence why not, where that is not possible. */
export function makeCgroup(limitBytes: number): TestCgroup | string {
  try {
    const groups = readFileSync("/proc/self/cgroup", "utf8")
      .split("\n")
      .map((line) => line.split(":"));
    const one = groups.find(([, controllers = ""]) => controllers.split(",").includes("memory"));
    const two = groups.find(([hierarchy]) => hierarchy === "0");
    const [parent, limit] = one
      ? [join("/sys/fs/cgroup/memory", one[2] ?? ""), "memory.limit_in_bytes"]
      : [join("/sys/fs/cgroup", two?.[2] ?? ""), "memory.max"];
    const path = join(parent, `muster-test-${pid}`);
    mkdirSync(path);
    try {
      writeFileSync(join(path, limit), String(limitBytes));
    } catch (error) {
      rmdirSync(path);
      throw error;
    }
    return {
      within: (command) => ["sh", "-c", `echo $$ > ${path}/cgroup.procs && exec "$@"`, "sh", ...command],
      remove: () => rmdirSync(path),
    };
  } catch (error) {
    return `no memory cgroup can be made here: ${error instanceof Error ? error.message : String(error)}`;
  }
}
