/** The password of a data folder: read, or created. */
import { randomBytes } from "node:crypto";
import { open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { systemErrorCode } from "../errors.ts";
import { type Layout, unusable } from "./layout.ts";

/** A data folder's password. */
export interface Password {
  value: string;
  /** True when it was created now, so that an existing cluster has another one. */
  isNew: boolean;
}

/** Reads the password of a data folder, or creates one of 192 random bits, mode 0600 and synced to the disk. */
export async function readOrMakePassword(layout: Layout): Promise<Password> {
  try {
    const value = (await readFile(layout.password, "utf8")).trim();
    if (value !== "") return { value, isNew: false };
  } catch (error) {
    if (systemErrorCode(error) !== "ENOENT") throw unusable(layout.password, "read", error);
  }
  const value = randomBytes(24).toString("base64url");
  try {
    const half = `${layout.password}.new`;
    const file = await open(half, "w", 0o600);
    try {
      await file.writeFile(`${value}\n`);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(half, layout.password);
    await syncFolder(dirname(layout.password));
  } catch (error) {
    throw unusable(layout.password, "write", error);
  }
  return { value, isNew: true };
}

/** Makes the names in a folder (a file created, a rename) survive a loss of power. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
