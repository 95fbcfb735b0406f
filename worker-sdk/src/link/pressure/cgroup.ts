/** Finds the cgroups of this process and reads their files. */
import { readFileSync } from "node:fs";

/** Where the kernel shows processes and cgroups. */
export interface Roots {
  readonly proc: string;
  readonly sys: string;
}

export const KERNEL: Roots = { proc: "/proc", sys: "/sys/fs/cgroup" };

/**
 * Folders of the process's cgroup and those above it, the innermost first; a limit of each of them applies.
 *
 * @param controller Of version 1, for example `memory`.
 */
export function cgroupFolders(
  { proc, sys }: Roots,
  controller: string,
): { version: 1 | 2; folders: string[] } {
  const lines = (readText(`${proc}/self/cgroup`) ?? "").split("\n").map((line) => line.split(":"));
  const one = lines.find(([, controllers = ""]) => controllers.split(",").includes(controller));
  const two = lines.find(([hierarchy]) => hierarchy === "0");
  if (one) {
    const mount = one[1] ?? "";
    return { version: 1, folders: upwards(`${sys}/${mount}`, one.slice(2).join(":")) };
  }
  return { version: 2, folders: two ? upwards(sys, two.slice(2).join(":")) : [] };
}

/** A number in a file of the kernel; undefined when there is none, for example `max`. */
export function readNumber(path: string): number | undefined {
  const text = readText(path)?.trim();
  return text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined;
}

/** Text of a file of the kernel; undefined when it does not exist or is not readable. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error) return undefined;
    throw error;
  }
}

/** A number of a file of lines `name number`. */
export function field(text: string | undefined, name: string): number | undefined {
  const found = new RegExp(`^${name} (\\d+)$`, "m").exec(text ?? "")?.[1];
  return found === undefined ? undefined : Number(found);
}

// Within a container the path may be that of the host; the container's own group is then the root.
function upwards(root: string, path: string): string[] {
  const parts = path.split("/").filter((part) => part !== "" && part !== "..");
  return Array.from({ length: parts.length + 1 }, (_, n) =>
    [root, ...parts.slice(0, parts.length - n)].join("/"),
  );
}
