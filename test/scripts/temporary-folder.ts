/** The temporary folder of a run of the suite. */
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, statfsSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { availableMemory } from "node:process";

/** File system in memory that Linux has. */
const MEMORY = "/dev/shm";

const PREFIX = "muster-tests-";

/** A run uses less than 2 GiB of it at a time, and its programs as much. */
const LEAST_FREE_BYTES = 6 * 1024 ** 3;

const UNUSED_AFTER_MS = 86_400_000;

/**
 * Makes the temporary folder of this run: in memory where there is room, because ext4 takes half a second of processor time to
 * create the thousand files of a database after another one was dropped.
 */
export function makeTemporaryFolder(): string {
  const parent = inMemory() ? MEMORY : tmpdir();
  removeUnused(parent);
  const folder = mkdtempSync(join(parent, PREFIX));
  // PostgreSQL runs as an account of its own when the tests run as root.
  chmodSync(folder, 0o711);
  return folder;
}

/** Whether the folder in memory has room, and programs may be started in it: that of a container often permits neither. */
function inMemory(): boolean {
  try {
    const mount = readFileSync("/proc/self/mounts", "utf8")
      .split("\n")
      .map((line) => line.split(" "))
      .find(([, path]) => path === MEMORY);
    if (mount?.[2] !== "tmpfs" || mount[3]?.split(",").some((option) => ["noexec", "ro"].includes(option)))
      return false;
    const { bavail, bsize } = statfsSync(MEMORY);
    return Math.min(bavail * bsize, availableMemory()) >= LEAST_FREE_BYTES;
  } catch {
    // Another system, or one without it.
    return false;
  }
}

/** Removes the folders of runs that were killed: they would hold memory for good. */
function removeUnused(parent: string): void {
  for (const name of readdirSync(parent)) {
    if (!name.startsWith(PREFIX)) continue;
    const path = join(parent, name);
    if (statSync(path).mtimeMs < Date.now() - UNUSED_AFTER_MS) rmSync(path, { recursive: true, force: true });
  }
}
