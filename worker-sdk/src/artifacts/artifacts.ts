/** Makes the artifacts of a worker's attempts. */

import { createHash, randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { messageOf } from "../attempt/failure/classify.ts";
import { NonRetryableError, RetryableError } from "../errors.ts";
import type { Logger } from "../logging/logger.ts";
import { checkKnown, type OptionNames } from "../options/known-options.ts";
import { joinKey, nameFault } from "../storage/object-key.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { Artifact, ArtifactFile, ArtifactOptions, ArtifactWriter } from "./artifact.ts";
import { ARTIFACT_SKIPPED } from "./artifact-events.ts";
import { fill, measureFile } from "./staged-file.ts";

const NAMES: OptionNames<ArtifactOptions> = {
  ...{ checksum: true, validate: true, allowEmpty: true, overwrite: true, contentType: true },
};

/** First part of the keys of all artifacts. */
export const ARTIFACTS = "artifacts";

/** The attempt that asks for an artifact. */
export interface ArtifactOwner {
  readonly taskId: string;
  readonly type: string;
  readonly contentType: string;
  readonly payload: Uint8Array;
  readonly signal: AbortSignal;
  readonly log: Pick<Logger, "info">;
  /** The attempt has ended, or no longer belongs to this worker. */
  readonly isOver: () => boolean;
  /** Its scratch folder, for stores without a folder of their own. */
  readonly scratch: () => Promise<string>;
  /** Sends a lifecycle event. */
  readonly event: (name: string, attributes: Readonly<Record<string, string>>) => void;
}

/**
 * Makes an artifact, or returns the valid one that an earlier attempt made. It is written to a temporary file on the file
 * system of the store, validated, and stored whole; of several attempts at once the first one wins.
 */
export async function makeArtifact(
  store: ObjectStore | undefined,
  owner: ArtifactOwner,
  name: string,
  write: ArtifactWriter,
  options: ArtifactOptions = {},
): Promise<Artifact> {
  if (store === undefined)
    throw new NonRetryableError(
      "ctx.artifact() needs a store: give the worker the option artifacts, or set WORKER_ARTIFACT_DIR to a folder.",
      { code: "ARTIFACT_STORE_MISSING" },
    );
  checkKnown(`artifact("${name}")`, options, NAMES);
  const request = checked(store, owner, name, write, options);
  const existing = options.overwrite === true ? "invalid" : await findExisting(request);
  if (typeof existing === "object") return skipped(request, existing);
  const path = await stagingPath(request);
  try {
    await fill(name, path, write, owner.signal);
    const file = await measureFile(path, owner.signal);
    await validate(request, file);
    return await commit(request, file, existing === "absent");
  } finally {
    // The store may have moved it; a function may have made a folder.
    await rm(path, { recursive: true, force: true });
  }
}

interface Request {
  readonly store: ObjectStore;
  readonly owner: ArtifactOwner;
  readonly name: string;
  readonly key: string;
  readonly options: ArtifactOptions;
  /** What the content must have; unset for any. */
  readonly checksum: string | undefined;
}

function checked(
  store: ObjectStore,
  owner: ArtifactOwner,
  name: string,
  write: ArtifactWriter,
  options: ArtifactOptions,
): Request {
  const fault = nameFault(name);
  if (fault !== undefined)
    throw new NonRetryableError(
      `ctx.artifact(): the name ${JSON.stringify(String(name).slice(0, 128))} is refused: ${fault}. Give a relative path such as "pages/3.png".`,
      { code: "ARTIFACT_NAME_REFUSED" },
    );
  if (typeof write !== "function")
    throw new TypeError(
      `ctx.artifact("${name}", write): write is a ${typeof write}; give a function that makes the content.`,
    );
  const checksum = options.checksum?.replace(/^sha256:/, "").toLowerCase();
  if (checksum !== undefined && !/^[0-9a-f]{64}$/.test(checksum))
    throw new TypeError(
      `ctx.artifact("${name}"): the option checksum is not a SHA-256 of 64 hexadecimal digits.`,
    );
  const key = joinKey(ARTIFACTS, folderOf(owner), name);
  return { store, owner, name, key, options, checksum: checksum && `sha256:${checksum}` };
}

/**
 * The task's part of a key: its id, and a hash of its input, the same for all attempts. Without the hash a task with an id
 * that was used before (its database was made anew), or one whose payload a later submit replaced, would be given foreign
 * content.
 */
function folderOf({ taskId, type, contentType, payload }: ArtifactOwner): string {
  const hash = createHash("sha256").update(`${type}\0${contentType}\0`).update(payload).digest("hex");
  return `${taskId}.${hash.slice(0, 16)}`;
}

/** The artifact that is there when it is valid; else whether there is one. */
async function findExisting(request: Request): Promise<ArtifactFile | "absent" | "invalid"> {
  const { store, owner, key, checksum, options } = request;
  const found = await store.find(key, { signal: owner.signal });
  if (found === undefined) return "absent";
  if (found.size === 0 && options.allowEmpty !== true) return "invalid";
  const known = found.sha256 && `sha256:${found.sha256}`;
  if (known !== undefined && checksum !== undefined && known !== checksum) return "invalid";
  if (known !== undefined && options.validate === undefined)
    return { path: "", size: found.size, checksum: known };
  const path = await stagingPath(request);
  try {
    const file = await download(request, path);
    const isWhole = file.size === found.size && (known === undefined || file.checksum === known);
    return isWhole && (await isValid(request, file)) ? file : "invalid";
  } finally {
    await rm(path, { recursive: true, force: true });
  }
}

/** The content of the artifact that is there: as a file when it has to be validated, else only its size and hash. */
async function download({ store, key, owner, options }: Request, path: string): Promise<ArtifactFile> {
  const { signal } = owner;
  const content = await store.read(key, { signal });
  if (options.validate !== undefined) {
    await pipeline(content, createWriteStream(path, { flags: "wx" }), { signal });
    return measureFile(path, signal);
  }
  const hash = createHash("sha256");
  let size = 0;
  for await (const piece of content) {
    hash.update(piece);
    size += piece.byteLength;
  }
  return { path: "", size, checksum: `sha256:${hash.digest("hex")}` };
}

async function isValid(request: Request, file: ArtifactFile): Promise<boolean> {
  try {
    await validate(request, file);
    return true;
  } catch (error) {
    request.owner.signal.throwIfAborted();
    const { owner, name } = request;
    owner.log.info(
      { event: "task.artifact.invalid", artifact: name, error: messageOf(error) },
      "the artifact of an earlier attempt is not valid and is made again",
    );
    return false;
  }
}

async function validate({ name, options, checksum }: Request, file: ArtifactFile): Promise<void> {
  const invalid = (what: string, cause?: unknown) =>
    new RetryableError(`Artifact "${name}" is not valid: ${what}`, { code: "ARTIFACT_INVALID", cause });
  if (file.size === 0 && options.allowEmpty !== true)
    throw invalid("it is empty; set allowEmpty when that is right.");
  if (checksum !== undefined && file.checksum !== checksum)
    throw invalid(`its checksum is ${file.checksum}, not ${checksum}.`);
  try {
    await options.validate?.(file);
  } catch (error) {
    if (error instanceof NonRetryableError || error instanceof RetryableError) throw error;
    throw invalid(messageOf(error), error);
  }
}

/** @param onlyFirst False: what is there is replaced. */
async function commit(request: Request, file: ArtifactFile, onlyFirst: boolean): Promise<Artifact> {
  const { store, owner, key, name, options } = request;
  const { signal } = owner;
  const { contentType } = options;
  for (const ifAbsent of onlyFirst ? [true, false] : [false]) {
    signal.throwIfAborted();
    if (owner.isOver())
      throw new Error(`Artifact "${name}" was not stored: the attempt had ended before it was complete.`);
    const stored = await store.put(
      key,
      { file: file.path },
      {
        ...{ sha256: file.checksum.replace("sha256:", ""), ifAbsent, signal },
        ...(contentType === undefined ? {} : { contentType }),
      },
    );
    if (stored) break;
    // Another attempt was faster. When its artifact is not valid here, or is gone already, it is replaced.
    const existing = await findExisting(request);
    if (typeof existing === "object") return skipped(request, existing);
  }
  const artifact = describe(request, file);
  const { size, checksum, uri } = artifact;
  owner.log.info({ event: "task.artifact.stored", artifact: name, size, checksum, uri }, "artifact stored");
  return artifact;
}

function skipped(request: Request, file: ArtifactFile): Artifact {
  const artifact = describe(request, file);
  const { name, size, checksum, uri } = artifact;
  const { owner } = request;
  owner.event(ARTIFACT_SKIPPED, { artifact: name, size: String(size), checksum, uri });
  owner.log.info(
    { event: ARTIFACT_SKIPPED, artifact: name, size, checksum, uri },
    "the artifact is there already",
  );
  return artifact;
}

function describe({ store, key, name }: Request, { size, checksum }: ArtifactFile): Artifact {
  return { name, size, checksum, uri: store.uriOf(key) };
}

async function stagingPath({ store, owner }: Request): Promise<string> {
  const folder = (await store.stagingFolder?.()) ?? (await owner.scratch());
  return join(folder, randomUUID());
}
