import { execFileSync } from "node:child_process";
import {
  chmodSync,
  closeSync,
  mkdtempSync,
  openSync,
  rmdirSync,
  rmSync,
  statfsSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A file system of a test's own that it can fill to the last block. */
export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Mounts one in memory; a sentence why not, where that is not permitted. */
  static mount(megabytes: number): SmallDisk | string {
    const path = mkdtempSync(join(tmpdir(), "muster-disk-"));
    try {
      execFileSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m,mode=0755`, "tmpfs", path], {
        stdio: "pipe",
      });
    } catch (error) {
      rmdirSync(path);
      return `no file system can be mounted here (root is needed): ${error instanceof Error ? error.message.trim() : String(error)}`;
    }
    chmodSync(path, 0o755);
    return new SmallDisk(path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Writes until nothing more fits, but for `spareBytes`. */
  fill(spareBytes = 0): void {
    const file = openSync(this.#filler, "a");
    try {
      for (let size = 1024 * 1024; size >= 4096; ) {
        const bytes = Math.min(size, this.freeBytes - spareBytes);
        if (bytes <= 0) return;
        try {
          writeSync(file, Buffer.alloc(bytes));
        } catch {
          // Full but for less than this.
          size /= 2;
        }
      }
    } finally {
      closeSync(file);
    }
  }

  /** Gives the space back. */
  free(): void {
    rmSync(this.#filler, { force: true });
  }

  unmount(): void {
    execFileSync("umount", ["-l", this.path], { stdio: "pipe" });
    rmdirSync(this.path);
  }

  get #filler(): string {
    return join(this.path, "filler");
  }
}
