/** Measures and removes a folder without leaving its file system. */
import { chmod, lstat, readdir, readFile, realpath, rmdir, unlink } from "node:fs/promises";

/** What a folder holds. */
export interface TreeSize {
  /** Allocated on the disk. */
  readonly bytes: number;
  readonly files: number;
}

/** A folder that is not removed because something is mounted in it. */
export class MountedError extends Error {
  override readonly name = "MountedError";
  readonly code = "EBUSY";
}

/** Paths are bytes: a name need not be UTF-8. */
const SLASH = Buffer.from("/");

/** Measures a folder; what is removed meanwhile is left out. Other file systems that are mounted in it do not count. */
export async function measureTree(path: string): Promise<TreeSize> {
  const { dev } = await lstat(path);
  return measure(Buffer.from(path), dev);
}

/**
 * Removes a folder with all that it holds. Symbolic links are removed, not followed.
 *
 * @throws MountedError, before anything is removed, when the folder is a mount or has one in it.
 */
export async function removeTree(path: string): Promise<void> {
  const mount = await mountWithin(path);
  if (mount !== undefined) throw new MountedError(`${mount} is a mount; unmount it, then remove ${path}`);
  const { dev } = await lstat(path);
  await remove(Buffer.from(path), dev);
}

async function measure(path: Buffer, device: number): Promise<TreeSize> {
  let [bytes, files] = [0, 0];
  const entries = await readdir(path, { encoding: "buffer" }).catch(ifGone([]));
  for (const name of entries) {
    const child = Buffer.concat([path, SLASH, name]);
    const stat = await lstat(child).catch(ifGone(undefined));
    if (stat === undefined || stat.dev !== device) continue;
    bytes += stat.blocks * 512;
    if (!stat.isDirectory()) files += 1;
    else {
      const inner = await measure(child, device);
      bytes += inner.bytes;
      files += inner.files;
    }
  }
  return { bytes, files };
}

async function remove(path: Buffer, device: number): Promise<void> {
  const { dev, mode } = await lstat(path);
  if (dev !== device) throw new MountedError(`${path} is on another file system; unmount it`);
  // Package managers make folders read-only.
  if ((mode & 0o700) !== 0o700) await chmod(path, 0o700);
  for (const entry of await readdir(path, { encoding: "buffer", withFileTypes: true })) {
    const child = Buffer.concat([path, SLASH, entry.name]);
    if (entry.isDirectory()) await remove(child, device).catch(ifGone(undefined));
    else await unlink(child).catch(ifGone(undefined));
  }
  await rmdir(path).catch(ifGone(undefined));
}

/** A mount point at or below the path; undefined without one, and where the system does not list them. */
async function mountWithin(path: string): Promise<string | undefined> {
  const list = await readFile("/proc/self/mountinfo", "utf8").catch(ifGone(""));
  const real = await realpath(path);
  return list
    .split("\n")
    .map((line) => unescaped(line.split(" ")[4] ?? ""))
    .find((mount) => mount === real || mount.startsWith(`${real}/`));
}

/** The kernel writes white space and backslashes of a path as octal numbers. */
function unescaped(path: string): string {
  return path.replaceAll(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** Replaces the error of what does not exist any more. */
function ifGone<T>(instead: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return instead;
    throw error;
  };
}
