/** The option `scratch` of a worker: where the folders of `ctx.scratch()` are, and how long they are kept. */

import type { Environment } from "./connection-options.ts";
import { type OptionNames, unknownOptions } from "./known-options.ts";
import { numberSetting, switchSetting } from "./option-checks.ts";

const NAMES: OptionNames<ScratchOptions> = { dir: true, keepS: true, quotaBytes: true, keepOnSuccess: true };

/**
 * Scratch folders of a worker. Each of them is a folder that `ctx.scratch()` makes for one attempt.
 *
 * @example
 * ```ts
 * const scratch: ScratchOptions = { dir: "/var/scratch", keepS: 7 * 86_400, quotaBytes: 20 * 1024 ** 3 };
 * ```
 */
export interface ScratchOptions {
  /**
   * Folder that they are made in, below a folder for the worker's id.
   * @default `WORKER_SCRATCH_DIR`, else `muster-scratch-<uid>` in the system's temporary folder
   */
  readonly dir?: string;
  /**
   * How long the folder of a failed attempt is kept, in seconds, 3600 to 31,622,400. The next start of the worker removes
   * what is older.
   * @default `WORKER_SCRATCH_KEEP_S`, else 86400: a day
   */
  readonly keepS?: number;
  /**
   * Largest folder of an attempt in bytes on the disk, measured every 5 s; a larger one fails the task with
   * `SCRATCH_QUOTA_EXCEEDED`, without a retry.
   * @default `WORKER_SCRATCH_QUOTA_BYTES`, else no quota
   */
  readonly quotaBytes?: number;
  /**
   * True: the folder of an attempt that succeeded is kept like that of a failed one.
   * @default `KEEP_SCRATCH_ON_SUCCESS`, else false
   */
  readonly keepOnSuccess?: boolean;
}

/** The option with its effective values. */
export interface ScratchSettings {
  /** Unset: a folder in the system's temporary folder. */
  readonly folder: string | undefined;
  /** Unset without an id of the author's: then the next process has another one. */
  readonly workerId: string | undefined;
  readonly keepS: number;
  readonly quotaBytes: number | undefined;
  readonly keepOnSuccess: boolean;
}

/** Reads the option and its variables; faults are added to `faults`. */
export function resolveScratch(
  option: ScratchOptions | undefined,
  workerId: string | undefined,
  env: Environment,
  faults: string[],
): ScratchSettings {
  if (option !== undefined && (typeof option !== "object" || option === null)) {
    faults.push(`option scratch: is ${String(option)}; give { dir, keepS, quotaBytes, keepOnSuccess }`);
    return { folder: undefined, workerId, keepS: 86_400, quotaBytes: undefined, keepOnSuccess: false };
  }
  faults.push(...unknownOptions(option, NAMES, "scratch."));
  const { dir, keepS, quotaBytes, keepOnSuccess } = option ?? {};
  if (dir !== undefined && (typeof dir !== "string" || dir === "" || dir.includes("\0")))
    faults.push(`option scratch.dir: ${JSON.stringify(dir)} is not the path of a folder`);
  return {
    folder: dir ?? (env.WORKER_SCRATCH_DIR || undefined),
    workerId,
    keepS: numberSetting(
      { option: ["scratch.keepS", keepS], variable: "WORKER_SCRATCH_KEEP_S", default: 86_400 },
      { min: 3_600, max: 31_622_400, integer: true },
      env,
      faults,
    ),
    quotaBytes: quotaSetting(quotaBytes, env, faults),
    keepOnSuccess: switchSetting(
      {
        option: ["scratch.keepOnSuccess", keepOnSuccess],
        variable: "KEEP_SCRATCH_ON_SUCCESS",
        default: false,
      },
      env,
      faults,
    ),
  };
}

function quotaSetting(option: number | undefined, env: Environment, faults: string[]): number | undefined {
  const variable = "WORKER_SCRATCH_QUOTA_BYTES";
  if (option === undefined && !env[variable]?.trim()) return undefined;
  return numberSetting(
    { option: ["scratch.quotaBytes", option], variable, default: 1 },
    { min: 1, max: Number.MAX_SAFE_INTEGER, integer: true },
    env,
    faults,
  );
}
