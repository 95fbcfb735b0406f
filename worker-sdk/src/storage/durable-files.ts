/** Flushes files and folders to the disk. */
import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { hasCode } from "./key-checks.ts";

/** Flushes a file's content. */
export async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

/** Flushes the names in a folder: without that, a file may have no name after a loss of power. */
export async function syncFolder(path: string): Promise<void> {
  let folder: FileHandle;
  try {
    folder = await open(path, "r");
  } catch (error) {
    // Windows opens no folders, and flushes names by itself.
    if (hasCode(error, "EISDIR", "EPERM")) return;
    throw error;
  }
  try {
    await folder.sync();
  } catch (error) {
    // File systems without this call, some of the network among them.
    if (!hasCode(error, "EINVAL", "ENOTSUP", "EISDIR", "EPERM")) throw error;
  } finally {
    await folder.close();
  }
}

/** Flushes the names of new folders, from the first one that was made down to the last. */
export async function syncNewFolders(first: string, last: string): Promise<void> {
  for (let folder = dirname(last); folder.length >= dirname(first).length; folder = dirname(folder)) {
    await syncFolder(folder);
    if (folder === dirname(folder)) return;
  }
}
