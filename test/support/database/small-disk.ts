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
  readonly #megabytes: number;

  private constructor(path: string, megabytes: number) {
    this.path = path;
    this.#megabytes = megabytes;
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
    return new SmallDisk(path, megabytes);
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

  /** Makes it as small as what it holds: nothing more fits, and nothing is written for it. */
  shrink(): void {
    for (let tries = 1; ; tries++) {
      const { blocks, bfree, bsize } = statfsSync(this.path);
      try {
        this.#resize(`${Math.max(1, (blocks - bfree) * bsize)}`);
        return;
      } catch (error) {
        // Something was written in between.
        if (tries === 50) throw error;
      }
    }
  }

  /** Gives it its size back. */
  grow(): void {
    this.#resize(`${this.#megabytes}m`);
  }

  #resize(size: string): void {
    execFileSync("mount", ["-o", `remount,size=${size}`, this.path], { stdio: "pipe" });
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
