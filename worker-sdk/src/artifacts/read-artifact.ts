/** Reads an artifact by what a task's result says of it. */
import { createHash } from "node:crypto";
import { type ObjectStore, type StoreCallOptions, StoreError } from "../storage/object-store.ts";
import type { Artifact } from "./artifact.ts";

/**
 * Reads an artifact in pieces, and checks its size and checksum: the iteration throws at its end when they are not those of
 * the artifact.
 *
 * @throws StoreError `OBJECT_MISSING` when there is none, `OBJECT_CORRUPT` when it is not what the task stored,
 * `OBJECT_KEY_REFUSED` when its URI is not one of this store.
 *
 * @example
 * ```ts
 * const { thumb } = await task.result();
 * await pipeline(readArtifact(store, thumb), createWriteStream("thumb.png"));
 * ```
 */
export async function* readArtifact(
  store: ObjectStore,
  artifact: Artifact,
  options: StoreCallOptions = {},
): AsyncGenerator<Uint8Array, void, undefined> {
  const { uri, size, checksum } = artifact;
  const key = store.keyOf(uri);
  if (key === undefined)
    throw new StoreError(
      "OBJECT_KEY_REFUSED",
      `The artifact ${uri} is not in this store (${store.uriOf("key")}).`,
    );
  const hash = createHash("sha256");
  let length = 0;
  for await (const piece of await store.read(key, options)) {
    hash.update(piece);
    length += piece.byteLength;
    yield piece;
  }
  if (length !== size || `sha256:${hash.digest("hex")}` !== checksum)
    throw new StoreError(
      "OBJECT_CORRUPT",
      `The artifact ${uri} is not what the task stored: its size or checksum differs.`,
    );
}
