/** The options of handlers that run in processes of their own. */
import { isAbsolute } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

/** Variable by which the processes of an isolated handler are found: what it starts inherits it. */
export const ISOLATE_MARK = "MUSTER_ISOLATE_ID";

/** How a handler is isolated. */
export interface IsolateOptions {
  /**
   * The module that makes the worker, as a file URL or an absolute path: a child process imports it to find the handler. Give it
   * (`import.meta.filename`) when the worker is not made by the program's entry file.
   * @default the program's entry file (`process.argv[1]`)
   */
  readonly module?: string | URL;
  /**
   * Memory of the child process in bytes, at least 128 MiB. Three quarters of it are the limit of its JavaScript heap. The whole is
   * limited by a cgroup, which counts what the handler has started, too; where the worker may make none, the process is measured
   * four times a second and killed beyond it. The attempt then fails as out of memory.
   * @default none
   */
  readonly memoryLimitBytes?: number;
  /**
   * Whether a child process runs another attempt of the type after a success: `true` any number, a number at most so many
   * (1 to 1,000,000), `false` one. After any other outcome the process ends.
   * @default true
   */
  readonly reuse?: boolean | number;
  /**
   * Seconds that a child process waits for the next attempt before it ends, 0 to 2,000,000.
   * @default 60
   */
  readonly idleS?: number;
  /**
   * Seconds between the request to stop (`ctx.signal`) and SIGKILL to the child process and all that it has started, 0 to 3,600.
   * @default the grace of the cancellation, which is 5 unless its caller says otherwise
   */
  readonly killGraceS?: number;
  /**
   * Seconds within which a child process imports the module and sets `lifespan` up, above 0, at most 2,000,000.
   * @default 600
   */
  readonly startTimeoutS?: number;
}

/** The options with their effective values. */
export interface IsolateSettings {
  /** File URL; undefined for the program's entry file. */
  readonly module: string | undefined;
  readonly memoryLimitBytes: number | undefined;
  /** Attempts that a process runs. */
  readonly maxAttempts: number;
  readonly idleMs: number;
  readonly killGraceMs: number | undefined;
  readonly startTimeoutMs: number;
}

const MIN_MEMORY = 128 * 1024 * 1024;
const MAX_REUSE = 1_000_000;
const MAX_S = 2_000_000;
const NAMES = ["module", "memoryLimitBytes", "reuse", "idleS", "killGraceS", "startTimeoutS"];

/**
 * Undefined when the handler is not isolated; adds every fault to `faults`.
 *
 * @param concurrency Option of the same type.
 */
export function compileIsolate(
  given: unknown,
  concurrency: unknown,
  faults: string[],
): IsolateSettings | undefined {
  if (given === undefined || given === false) return undefined;
  if (typeof Object(concurrency).targetS === "function")
    faults.push(
      "concurrency.targetS: is a function of the payload, which the process of an isolated handler parses; give a number of seconds",
    );
  if (given !== true && (typeof given !== "object" || given === null || Array.isArray(given))) {
    faults.push(`isolate: is ${given === null ? "null" : typeof given}; give true or an object of options`);
    return undefined;
  }
  const options: IsolateOptions = given === true ? {} : given;
  const { memoryLimitBytes, reuse = true, idleS = 60, killGraceS, startTimeoutS = 600 } = options;
  for (const name of Object.keys(options))
    if (!NAMES.includes(name)) faults.push(`isolate.${name}: is no option; it has ${NAMES.join(", ")}`);
  if (
    memoryLimitBytes !== undefined &&
    !(Number.isSafeInteger(memoryLimitBytes) && memoryLimitBytes >= MIN_MEMORY)
  )
    faults.push(
      `isolate.memoryLimitBytes: ${memoryLimitBytes} is not an integer of at least ${MIN_MEMORY} (128 MiB)`,
    );
  if (typeof reuse !== "boolean" && !(Number.isInteger(reuse) && reuse >= 1 && reuse <= MAX_REUSE))
    faults.push(
      `isolate.reuse: ${String(reuse)} is neither true, false nor an integer from 1 to ${MAX_REUSE}`,
    );
  const seconds = (name: string, value: unknown, max: number): void => {
    if (!(typeof value === "number" && value >= 0 && value <= max))
      faults.push(`isolate.${name}: ${String(value)} is not a number of seconds from 0 to ${max}`);
  };
  seconds("idleS", idleS, MAX_S);
  if (killGraceS !== undefined) seconds("killGraceS", killGraceS, 3_600);
  seconds("startTimeoutS", startTimeoutS, MAX_S);
  return {
    module: moduleUrl(options.module, faults),
    memoryLimitBytes,
    maxAttempts: typeof reuse === "number" ? reuse : reuse ? Number.POSITIVE_INFINITY : 1,
    idleMs: idleS * 1000,
    killGraceMs: killGraceS === undefined ? undefined : killGraceS * 1000,
    startTimeoutMs: startTimeoutS * 1000,
  };
}

function moduleUrl(module: unknown, faults: string[]): string | undefined {
  if (module === undefined) return undefined;
  const text = module instanceof URL ? module.href : String(module);
  if (isAbsolute(text)) return pathToFileURL(text).href;
  try {
    fileURLToPath(text);
    return text;
  } catch {
    faults.push(
      `isolate.module: ${JSON.stringify(text)} is neither a file URL nor an absolute path; give import.meta.filename of the module that makes the worker`,
    );
    return undefined;
  }
}
