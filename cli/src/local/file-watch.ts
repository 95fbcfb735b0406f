/** Watches the files of a worker for changes of their content. */
import { createHash } from "node:crypto";
import { type FSWatcher, readFileSync, watch } from "node:fs";
import { basename, dirname } from "node:path";
import type { Clock } from "../clock.ts";

/** Editors and version control write several files, some of them twice: changes within this time are one. */
const QUIET_MS = 100;

/** Files that are watched, at most; those after them are not. */
const MAX_FILES = 10_000;

/** Calls back with the files whose content has changed. Their folders are watched: editors replace files. */
export class FileWatch {
  readonly #clock: Clock;
  readonly #onChange: (files: readonly string[]) => void;
  readonly #hashes = new Map<string, string>();
  readonly #folders = new Map<string, FSWatcher>();
  readonly #touched = new Set<string>();
  #cancel: (() => void) | undefined;

  constructor(clock: Clock, onChange: (files: readonly string[]) => void) {
    this.#clock = clock;
    this.#onChange = onChange;
  }

  /** Number of files. */
  get size(): number {
    return this.#hashes.size;
  }

  /** Watches a file from now on, as it is now. */
  add(file: string): void {
    if (this.#hashes.has(file) || this.#hashes.size >= MAX_FILES) return;
    this.#hashes.set(file, hashOf(file));
    const folder = dirname(file);
    if (this.#folders.has(folder)) return;
    const watcher = watch(folder, (_event, name) => this.#look(folder, name));
    // A folder that was removed is watched no more; its files have changed.
    watcher.on("error", () => this.#look(folder, null));
    this.#folders.set(folder, watcher);
  }

  close(): void {
    this.#cancel?.();
    for (const watcher of this.#folders.values()) watcher.close();
  }

  #look(folder: string, name: string | null): void {
    for (const file of this.#hashes.keys())
      if (dirname(file) === folder && (name === null || basename(file) === name)) this.#touched.add(file);
    if (this.#touched.size === 0) return;
    this.#cancel?.();
    this.#cancel = this.#clock.after(QUIET_MS, () => this.#report());
  }

  #report(): void {
    const changed = [...this.#touched].filter((file) => {
      const hash = hashOf(file);
      if (this.#hashes.get(file) === hash) return false;
      this.#hashes.set(file, hash);
      return true;
    });
    this.#touched.clear();
    if (changed.length > 0) this.#onChange(changed);
  }
}

/** Empty for a file that is missing: editors remove one before they write it. */
function hashOf(file: string): string {
  try {
    return createHash("sha256").update(readFileSync(file)).digest("hex");
  } catch {
    return "";
  }
}
