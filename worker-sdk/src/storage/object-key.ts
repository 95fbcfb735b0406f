/** Names of artifacts and keys of stored objects. */
import { posix } from "node:path";

/** Longest key of an object in bytes of UTF-8: S3 takes 1024, and a store puts its own prefix before it. */
const MAX_KEY_BYTES = 768;

/** Longest name of an artifact in bytes of UTF-8: the rest of a key is that of its task. */
export const MAX_NAME_BYTES = 512;

/** Longest part of a key in bytes: file systems take 255. */
const MAX_PART_BYTES = 200;

/** What is wrong with a name of an artifact; undefined when it is valid. */
export function nameFault(name: unknown): string | undefined {
  return typeof name === "string" ? pathFault(name, MAX_NAME_BYTES) : `it is a ${typeof name}`;
}

/** What is wrong with a key of an object; undefined when it is valid. */
export function keyFault(key: string): string | undefined {
  return pathFault(key, MAX_KEY_BYTES);
}

/**
 * A relative path with "/" between its parts, which stays below its folder on every file system: no part is empty or begins
 * with a dot, and none has a backslash, a colon or a control character.
 */
function pathFault(path: string, maxBytes: number): string | undefined {
  if (path === "") return "it is empty";
  if (!path.isWellFormed()) return "it is not well-formed Unicode";
  const bytes = Buffer.byteLength(path);
  if (bytes > maxBytes) return `it has ${bytes} bytes; at most ${maxBytes}`;
  const bad = /[\p{Cc}\\:]/u.exec(path)?.[0];
  if (bad !== undefined) return `it has ${JSON.stringify(bad)}, which no name may have`;
  for (const part of path.split("/")) {
    if (part === "") return 'it begins or ends with "/", or has two in a row';
    if (part.startsWith(".")) return `its part ${JSON.stringify(part)} begins with a dot`;
    if (part.endsWith(".") || part.endsWith(" "))
      return `its part ${JSON.stringify(part)} ends with a dot or a space`;
    if (Buffer.byteLength(part) > MAX_PART_BYTES)
      return `its part ${JSON.stringify(part.slice(0, 32))}... has more than ${MAX_PART_BYTES} bytes`;
  }
  return undefined;
}

/** Joins parts of a key. */
export function joinKey(...parts: readonly string[]): string {
  return posix.join(...parts);
}
