/** Files in which large values pass between a worker and its link. */
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";

/** Largest file that is read, in bytes: the limit of the scheduler's messages is below. */
const MAX_FILE = 256 * 1024 * 1024;

/** The folder for them, which only this account reads. */
export class LineFiles {
  readonly folder: string;
  #count = 0;

  constructor(parent = tmpdir()) {
    // Its mode is 0700.
    this.folder = mkdtempSync(join(parent, "muster-link-"));
  }

  /** A name that no file has. */
  nextName(): string {
    this.#count += 1;
    return `value-${this.#count}`;
  }

  /** Bytes of a file. @throws Error when there is none. */
  size(path: string): number {
    return statSync(path).size;
  }

  /** The content of a file. @throws Error when it cannot be read, or is too large. */
  read(path: string): Uint8Array {
    const size = this.size(path);
    if (size > MAX_FILE) throw new Error(`${path} has ${size} bytes; at most ${MAX_FILE} are read`);
    return new Uint8Array(readFileSync(path));
  }

  /** The same; one in the folder is removed. */
  take(path: string): Uint8Array {
    const content = this.read(path);
    if (dirname(resolve(path)) === this.folder) rmSync(path, { force: true });
    return content;
  }

  /** Removes the folder. */
  close(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}
