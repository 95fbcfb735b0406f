/** A store in a folder of a file system. */

import { randomUUID } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, link, lstat, mkdir, open, readdir, rename, rmdir, unlink, utimes } from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { systemClock, wallClock } from "../clock.ts";
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { numberSetting } from "../options/option-checks.ts";
import { OptionsError } from "../options/options-error.ts";
import { syncFile, syncFolder, syncNewFolders } from "./durable-files.ts";
import { checkedKey, hasCode, missing } from "./key-checks.ts";
import type {
  ObjectSource,
  ObjectStore,
  PutOptions,
  StoreCallOptions,
  StoredObject,
} from "./object-store.ts";

const NAMES: OptionNames<FolderStoreOptions> = { dir: true, keepUnfinishedS: true };

/** Folder of the files that are not complete; no key begins with a dot. */
const UNFINISHED = ".unfinished";

/** How often a store looks for what interrupted calls have left. */
const CLEAN_EVERY_MS = 3_600_000;

/** Tries to put a file into a folder that a concurrent `delete` removes. */
const MAX_TRIES = 5;

/** What `link` fails with where it is not supported, or where the file is another account's. */
const CANNOT_LINK: ReadonlySet<string> = new Set([
  "EPERM",
  "EACCES",
  "ENOSYS",
  "ENOTSUP",
  "EOPNOTSUPP",
  "EMLINK",
  "EXDEV",
]);

/** Options of `FolderStore`. */
export interface FolderStoreOptions {
  /** The folder; made at the first use. */
  readonly dir: string;
  /**
   * After how long what an interrupted call has left is removed, in seconds, 3600 to 31,622,400. It has to exceed the
   * longest time for which a handler lets a file rest before it has finished it.
   * @default 86400: a day
   */
  readonly keepUnfinishedS?: number;
}

/**
 * Stores objects as files of a folder, which may be shared by machines (NFS). A file appears under its name when it is
 * complete: it is written to the folder `.unfinished` below `dir`, flushed to the disk, and then linked or renamed.
 *
 * @throws OptionsError when an option is not valid.
 *
 * @example
 * ```ts
 * import { FolderStore } from "@muster/worker/storage";
 *
 * const worker = new Worker({ artifacts: new FolderStore({ dir: "/srv/results" }), tasks });
 * ```
 */
export class FolderStore implements ObjectStore {
  /** Absolute path. */
  readonly dir: string;
  readonly #keepUnfinishedS: number;
  #cleanedMs: number | undefined;

  constructor(options: FolderStoreOptions) {
    const { dir, keepUnfinishedS } = options;
    const faults: string[] = [...unknownOptions(options, NAMES)];
    if (typeof dir !== "string" || dir === "" || dir.includes("\0"))
      faults.push(`option dir: ${JSON.stringify(dir)} is not the path of a folder`);
    this.#keepUnfinishedS = numberSetting(
      { option: ["keepUnfinishedS", keepUnfinishedS], default: 86_400 },
      { min: 3_600, max: 31_622_400, integer: true },
      {},
      faults,
    );
    if (faults.length > 0) throw new OptionsError("FolderStore", faults);
    this.dir = resolve(dir);
  }

  uriOf(key: string): string {
    return pathToFileURL(this.#pathOf(key)).href;
  }

  keyOf(uri: string): string | undefined {
    if (!URL.canParse(uri) || !uri.startsWith("file:")) return undefined;
    const key = relative(this.dir, fileURLToPath(uri)).split(sep).join("/");
    return key === "" || key.startsWith("..") ? undefined : key;
  }

  async find(key: string): Promise<StoredObject | undefined> {
    try {
      const stat = await lstat(this.#pathOf(key));
      return stat.isFile() ? { key, size: stat.size, modifiedTime: stat.mtime } : undefined;
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) return undefined;
      throw error;
    }
  }

  async read(key: string, { signal }: StoreCallOptions = {}): Promise<AsyncIterable<Uint8Array>> {
    signal?.throwIfAborted();
    try {
      const file = await open(this.#pathOf(key), "r");
      return createReadStream("", { fd: file, highWaterMark: 256 * 1024, ...(signal ? { signal } : {}) });
    } catch (error) {
      if (hasCode(error, "ENOENT", "ENOTDIR")) throw missing(this.uriOf(key), error);
      throw error;
    }
  }

  async put(key: string, source: ObjectSource, options: PutOptions = {}): Promise<boolean> {
    const { ifAbsent = false, signal } = options;
    const target = this.#pathOf(key);
    signal?.throwIfAborted();
    const { staged, copied } = await this.#staged(source);
    let stored = false;
    try {
      await syncFile(staged);
      signal?.throwIfAborted();
      stored = await this.#publish(staged, target, ifAbsent);
      if (stored) await syncFolder(dirname(target));
      return stored;
    } finally {
      // After a link the file has two names, after a rename none here. The caller's own file stays when it was not stored.
      if (stored || copied) await unlink(staged).catch(unlessGone);
    }
  }

  async delete(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await unlink(path).catch(unlessGone);
    // Folders that are empty now are removed, up to that of the store.
    for (let folder = dirname(path); folder.startsWith(this.dir + sep); folder = dirname(folder)) {
      try {
        await rmdir(folder);
      } catch (error) {
        if (hasCode(error, "ENOTEMPTY", "EEXIST", "ENOENT", "ENOTDIR", "EBUSY")) return;
        throw error;
      }
    }
  }

  async *list(prefix: string, { signal }: StoreCallOptions = {}): AsyncGenerator<StoredObject> {
    checkedKey(prefix.replace(/\/$/, ""));
    const folders = [join(this.dir, prefix)];
    for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
      signal?.throwIfAborted();
      for (const entry of await entriesOf(folder)) {
        const path = join(folder, entry.name);
        if (entry.name.startsWith(".")) continue;
        if (entry.isDirectory()) folders.push(path);
        if (!entry.isFile()) continue;
        const found = await this.find(relative(this.dir, path).split(sep).join("/"));
        if (found !== undefined) yield found;
      }
    }
  }

  async stagingFolder(): Promise<string> {
    const folder = join(this.dir, UNFINISHED);
    const made = await mkdir(folder, { recursive: true });
    if (made !== undefined) await syncNewFolders(made, folder);
    const nowMs = systemClock.monotonicMs();
    if (this.#cleanedMs === undefined || nowMs - this.#cleanedMs >= CLEAN_EVERY_MS) {
      this.#cleanedMs = nowMs;
      await this.removeUnfinished(this.#keepUnfinishedS);
    }
    return folder;
  }

  async removeUnfinished(olderThanS: number): Promise<number> {
    const folder = join(this.dir, UNFINISHED);
    const before = wallClock().getTime() - olderThanS * 1000;
    let removed = 0;
    for (const { name } of await entriesOf(folder)) {
      const path = join(folder, name);
      try {
        const stat = await lstat(path);
        // A file that was moved here keeps its old modification time: the change time is that of the move.
        if (Math.max(stat.mtimeMs, stat.ctimeMs) > before || stat.isDirectory()) continue;
        await unlink(path);
        removed += 1;
      } catch (error) {
        unlessGone(error);
      }
    }
    return removed;
  }

  #pathOf(key: string): string {
    return join(this.dir, ...checkedKey(key).split("/"));
  }

  /** The source as a file on the file system of the store. */
  async #staged(source: ObjectSource): Promise<{ readonly staged: string; readonly copied: boolean }> {
    const folder = await this.stagingFolder();
    if ("file" in source && dirname(resolve(source.file)) === folder)
      return { staged: source.file, copied: false };
    const staged = join(folder, randomUUID());
    try {
      if ("file" in source) await copyFile(source.file, staged);
      else {
        await using file = await open(staged, "wx");
        await file.writeFile(source.bytes);
      }
    } catch (error) {
      await unlink(staged).catch(unlessGone);
      throw error;
    }
    return { staged, copied: true };
  }

  /** Gives a complete file its name; false when there is another one that has to stay. */
  async #publish(staged: string, target: string, ifAbsent: boolean): Promise<boolean> {
    for (let tries = 1; ; tries++) {
      const made = await mkdir(dirname(target), { recursive: true });
      if (made !== undefined) await syncNewFolders(made, dirname(target));
      try {
        if (!ifAbsent) {
          await rename(staged, target);
          return true;
        }
        return await linkOrRename(staged, target);
      } catch (error) {
        // A concurrent delete has removed the folder; the staged file may be gone as well, which is an error.
        if (tries === MAX_TRIES || !hasCode(error, "ENOENT") || !(await exists(staged))) throw error;
      }
    }
  }
}

/** A link fails when there is a file, a rename replaces it: of several writers at once the first one wins by a link. */
async function linkOrRename(staged: string, target: string): Promise<boolean> {
  try {
    await link(staged, target);
    // A link has the old modification time, by which objects are removed.
    await utimes(target, wallClock(), wallClock());
    return true;
  } catch (error) {
    if (hasCode(error, "EEXIST")) return false;
    if (!hasCode(error, ...CANNOT_LINK)) throw error;
  }
  if (await exists(target)) return false;
  await rename(staged, target);
  return true;
}

async function exists(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (hasCode(error, "ENOENT")) return false;
    throw error;
  }
}

async function entriesOf(folder: string) {
  try {
    return await readdir(folder, { withFileTypes: true });
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

function unlessGone(error: unknown): void {
  if (!hasCode(error, "ENOENT")) throw error;
}
