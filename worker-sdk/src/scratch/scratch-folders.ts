/** The scratch folders of a worker's attempts. */
import { lstat, mkdir, mkdtemp, readdir, realpath, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { classifyError, messageOf } from "../attempt/failure/classify.ts";
import { type Clock, wallClock } from "../clock.ts";
import { NonRetryableError, RetryableError } from "../errors.ts";
import type { Logger } from "../logging/logger.ts";
import type { ScratchSettings } from "../options/scratch-options.ts";
import { measureTree, removeTree } from "./folder-tree.ts";

/**
 * How often the time stamps of open folders are renewed, so that no other process removes them by age. The shortest age is
 * an hour.
 */
const RENEW_MS = 600_000;

/** Shortest time between two measurements of a folder with a quota; one that takes long is made less often. */
const QUOTA_CHECK_MS = 5_000;

/** Share of the time that measurements may take. */
const QUOTA_SHARE = 0.1;

/** The end of the name of a folder: how long it is kept, and the random part of `mkdtemp`. */
const FOLDER_NAME = /\.keep([0-9]{1,9})s\.[A-Za-z0-9]{6}$/;

/** Folder of the workers without an id of their own; an id cannot begin so. */
const UNNAMED = "_unnamed";

/** The scratch folder of an attempt. */
export interface ScratchFolder {
  readonly attemptId: string;
  readonly path: string;
  readonly close: () => void;
}

/** Makes, keeps and removes the folders; one for each worker. */
export class ScratchFolders {
  readonly #settings: ScratchSettings;
  readonly #log: Logger;
  readonly #clock: Clock;
  readonly #open = new Set<ScratchFolder>();
  readonly #ending = new Set<Promise<void>>();
  #stopRenewing: (() => void) | undefined;

  constructor(settings: ScratchSettings, log: Logger, clock: Clock) {
    this.#settings = settings;
    this.#log = log;
    this.#clock = clock;
  }

  /**
   * Makes the folder of an attempt.
   *
   * @param exceeded Called once when the folder has become larger than the quota.
   * @throws RetryableError `SCRATCH_FOLDER_REFUSED` when the parent is not this account's own; what the file system
   * throws (`ENOSPC`, ...).
   */
  async open(attemptId: string, exceeded: (reason: Error) => void): Promise<ScratchFolder> {
    const parent = await this.#makeParent();
    const name = encodeURIComponent(attemptId).slice(0, 128);
    const path = await mkdtemp(join(parent, `${name}.keep${this.#settings.keepS}s.`));
    const closers = [this.#watchQuota(path, exceeded)];
    const folder: ScratchFolder = {
      attemptId,
      path,
      close: () => {
        for (const close of closers.splice(0)) close();
      },
    };
    this.#open.add(folder);
    this.#stopRenewing ??= this.#clock.every(RENEW_MS, () => this.#renew());
    return folder;
  }

  /** The handler has returned: removes the folder, or keeps it after a failure. Does not wait for that. */
  end(folder: ScratchFolder, outcome: "succeeded" | "failed" | "cancelled" | "released"): void {
    folder.close();
    const keep = outcome === "failed" || (outcome === "succeeded" && this.#settings.keepOnSuccess);
    const ending = (keep ? this.#keep(folder, outcome) : this.#remove(folder)).finally(() => {
      this.#open.delete(folder);
      this.#ending.delete(ending);
      if (this.#open.size > 0) return;
      this.#stopRenewing?.();
      this.#stopRenewing = undefined;
    });
    this.#ending.add(ending);
  }

  /** Resolves when the folders of ended attempts are removed or measured. */
  async settled(): Promise<void> {
    await Promise.all(this.#ending);
  }

  /** The worker ends: no timer is left, and open folders are removed by their age. */
  stop(): void {
    for (const { close } of this.#open) close();
    this.#stopRenewing?.();
    this.#stopRenewing = undefined;
  }

  /**
   * Removes the folders of this worker that are older than they are kept. Every folder says so in its name, so that workers
   * with other settings are respected. Never throws.
   */
  async cleanUp(nowMs = wallClock().getTime()): Promise<void> {
    let removed = 0;
    let bytes = 0;
    try {
      const parent = await this.#findParent();
      for (const name of parent === undefined ? [] : await readdir(parent)) {
        const path = join(parent ?? "", name);
        if (this.#isOpen(path) || !(await isOutdated(path, name, nowMs))) continue;
        try {
          const size = await measureTree(path);
          await removeTree(path);
          removed += 1;
          bytes += size.bytes;
        } catch (error) {
          this.#logLeft(path, error);
        }
      }
    } catch (error) {
      this.#logLeft(this.#settings.folder ?? tmpdir(), error);
    }
    if (removed > 0)
      this.#log.info(
        { event: "worker.scratch.cleaned", folders: removed, bytes },
        "scratch folders that were kept long enough are removed",
      );
  }

  async #keep({ attemptId, path }: ScratchFolder, outcome: string): Promise<void> {
    try {
      const { bytes, files } = await measureTree(path);
      await touch(path);
      const { keepS } = this.#settings;
      this.#log.info(
        { event: "task.scratch.kept", attempt_id: attemptId, outcome, path, bytes, files, keep_s: keepS },
        `scratch folder kept: ${path}`,
      );
    } catch (error) {
      this.#logLeft(path, error);
    }
  }

  async #remove({ path }: ScratchFolder): Promise<void> {
    try {
      await removeTree(path);
    } catch (error) {
      // Its handler may have removed it.
      if (await exists(path)) this.#logLeft(path, error);
    }
  }

  #logLeft(path: string, error: unknown): void {
    const { code } = classifyError(error, undefined);
    this.#log.warn(
      { event: "worker.scratch.left", path, code, error: messageOf(error) },
      `scratch folder could not be removed: ${path}`,
    );
  }

  #isOpen(path: string): boolean {
    return [...this.#open].some((folder) => folder.path === path);
  }

  #renew(): void {
    for (const { path } of this.#open)
      touch(path).catch((error: unknown) => {
        const fields = { event: "worker.scratch.left", path, error: messageOf(error) };
        this.#log.warn(fields, `the time stamp of a scratch folder could not be renewed: ${path}`);
      });
  }

  #watchQuota(path: string, exceeded: (reason: Error) => void): () => void {
    const { quotaBytes } = this.#settings;
    if (quotaBytes === undefined) return () => {};
    let closed = false;
    let cancel: () => void = () => {};
    const check = async (): Promise<void> => {
      const beganMs = this.#clock.monotonicMs();
      // What cannot be measured now is measured by the next check; that of the end is logged.
      const size = await measureTree(path).catch(() => undefined);
      if (closed) return;
      if (size !== undefined && size.bytes > quotaBytes) {
        const text = `The scratch folder has ${size.bytes} bytes; its quota is ${quotaBytes} (WORKER_SCRATCH_QUOTA_BYTES).`;
        exceeded(new NonRetryableError(text, { code: "SCRATCH_QUOTA_EXCEEDED" }));
        return;
      }
      schedule((this.#clock.monotonicMs() - beganMs) / QUOTA_SHARE);
    };
    const schedule = (delayMs: number): void => {
      cancel = this.#clock.after(Math.max(QUOTA_CHECK_MS, delayMs), () => void check());
    };
    schedule(0);
    return () => {
      closed = true;
      cancel();
    };
  }

  /** The folder that this worker's folders are made in; made when it is missing. */
  async #makeParent(): Promise<string> {
    const { folder, workerId } = this.#settings;
    const base = folder ?? defaultFolder();
    await mkdir(base, { recursive: true, mode: 0o700 });
    // Anyone can make a folder of that name in the system's temporary folder before this worker does.
    if (folder === undefined) await checkOwn(base);
    const parent = join(await realpath(base), nameOf(workerId));
    await mkdir(parent, { recursive: true, mode: 0o700 });
    await checkOwn(parent);
    return parent;
  }

  async #findParent(): Promise<string | undefined> {
    const { folder, workerId } = this.#settings;
    const base = folder ?? defaultFolder();
    if (!(await exists(base))) return undefined;
    if (folder === undefined) await checkOwn(base);
    const parent = join(await realpath(base), nameOf(workerId));
    if (!(await exists(parent))) return undefined;
    await checkOwn(parent);
    return parent;
  }
}

function defaultFolder(): string {
  return join(tmpdir(), `muster-scratch-${process.getuid?.() ?? "user"}`);
}

/** A worker with an id removes only what workers with that id have left. */
function nameOf(workerId: string | undefined): string {
  return workerId === undefined ? UNNAMED : encodeURIComponent(workerId);
}

/** @throws RetryableError when it is not a folder, a link, or one that another account owns or may write. */
async function checkOwn(path: string): Promise<void> {
  const stat = await lstat(path);
  const uid = process.getuid?.();
  const fault = !stat.isDirectory()
    ? "is not a folder"
    : uid !== undefined && stat.uid !== uid
      ? `belongs to the account ${stat.uid}, not to ${uid}`
      : (stat.mode & 0o022) !== 0
        ? "can be written by other accounts"
        : undefined;
  if (fault === undefined) return;
  throw new RetryableError(
    `Scratch folder ${path} ${fault}; remove it, or give another one with WORKER_SCRATCH_DIR.`,
    { code: "SCRATCH_FOLDER_REFUSED" },
  );
}

/** True for a folder of an attempt that is older than it is kept. The handler cannot set the change time. */
async function isOutdated(path: string, name: string, nowMs: number): Promise<boolean> {
  const keepS = FOLDER_NAME.exec(name)?.[1];
  if (keepS === undefined) return false;
  const stat = await lstat(path).catch(() => undefined);
  if (stat === undefined || !stat.isDirectory()) return false;
  const uid = process.getuid?.();
  return (uid === undefined || stat.uid === uid) && nowMs - stat.ctimeMs > Number(keepS) * 1_000;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false,
  );
}

/** Sets the change time of a folder to now. */
async function touch(path: string): Promise<void> {
  const now = wallClock();
  await utimes(path, now, now);
}
