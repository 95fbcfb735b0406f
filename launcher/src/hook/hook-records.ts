/** What the driver of hooks keeps on disk: its launches, and the hooks that they were started by. */
import { createHash } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ObservedLaunch, SecretSource } from "../driver.ts";
import type { ProcessIdentity } from "../process/launch-folder.ts";

/** A hook as a pool names it. */
export interface Hook {
  /** Of all of its settings: a pool whose hook was changed has another one for new launches. */
  readonly id: string;
  readonly command: readonly string[];
  readonly settings: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly listIntervalMs: number;
}

/** A launch as it was last seen. */
export type SeenLaunch = Omit<ObservedLaunch, "launchId">;

/** A launch. */
export interface HookLaunch {
  readonly launchId: string;
  /** Empty for one that was stopped before it was known. */
  readonly hookId: string;
  readonly step: /** `start` is called or is to be called; its result is not known. */
    | "starting"
    /** It was started: `list` decides from now on. */
    | "started"
    /** `start` failed: `stop` is called until it succeeds. */
    | "failed";
  /** The process of the call, while it is known. */
  readonly call?: ProcessIdentity | undefined;
  readonly handle: string;
  readonly secretSources: readonly SecretSource[];
  readonly seen: SeenLaunch;
}

/** A launch before anything was read about it. */
export function seenAs(phase: SeenLaunch["phase"], reason: string, detail: string): SeenLaunch {
  return {
    phase,
    reason,
    detail,
    signal: "",
    outOfMemory: false,
    outputBytes: 0,
    outputAgeMs: undefined,
    logTail: "",
  };
}

/** A launch for the scheduler. */
export function observed({ launchId, seen }: HookLaunch): ObservedLaunch {
  return { launchId, ...seen, outputAgeMs: seen.outputAgeMs };
}

/** The files. Only one launcher has the folder at a time. */
export class HookRecords {
  readonly #launches: string;
  readonly #hooks: string;

  constructor(folder: string) {
    this.#launches = join(folder, "launches");
    this.#hooks = join(folder, "hooks");
    for (const path of [this.#launches, this.#hooks]) mkdirSync(path, { recursive: true, mode: 0o700 });
  }

  /** All launches that were not forgotten. */
  launches(): HookLaunch[] {
    return read<HookLaunch>(this.#launches);
  }

  /** All hooks that were not removed. */
  hooks(): Hook[] {
    return read<Hook>(this.#hooks);
  }

  /** Keeps a hook; it is there before the first launch that names it. */
  keepHook(hook: Omit<Hook, "id">): Hook {
    const { command, settings, timeoutMs, listIntervalMs } = hook;
    const sorted = Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1));
    const id = createHash("sha256")
      .update(JSON.stringify([command, sorted, timeoutMs, listIntervalMs]))
      .digest("hex")
      .slice(0, 32);
    const kept = { ...hook, id };
    write(this.#hooks, id, kept);
    return kept;
  }

  removeHook(id: string): void {
    rmSync(join(this.#hooks, `${id}.json`), { force: true });
  }

  /** Keeps a new launch. @returns False when there is one of its id. */
  claim(launch: HookLaunch): boolean {
    const path = join(this.#launches, `${launch.launchId}.json`);
    const unfinished = `${path}.${process.pid}.new`;
    writeFileSync(unfinished, JSON.stringify(launch), { mode: 0o600 });
    try {
      // The kernel makes the link once, and with the whole content.
      linkSync(unfinished, path);
      return true;
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
      throw error;
    } finally {
      rmSync(unfinished);
    }
  }

  update(launch: HookLaunch): void {
    write(this.#launches, launch.launchId, launch);
  }

  forget(launchId: string): void {
    rmSync(join(this.#launches, `${launchId}.json`), { force: true });
  }
}

function read<T>(folder: string): T[] {
  return readdirSync(folder)
    .filter((name) => name.endsWith(".json"))
    .map((name): T => JSON.parse(readFileSync(join(folder, name), "utf8")));
}

function write(folder: string, name: string, value: unknown): void {
  const path = join(folder, `${name}.json`);
  writeFileSync(`${path}.new`, JSON.stringify(value), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}
