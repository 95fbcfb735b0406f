/** The options of `command()`. */
import { type OptionNames, unknownOptions } from "../options/known-options.ts";
import { OptionsError } from "../options/options-error.ts";
import { templateFault } from "./template.ts";

/** How a program is run as a task. */
export interface CommandOptions {
  /**
   * What the program reads: nothing, the payload as it was submitted, or a text with values as in the arguments.
   * @default nothing
   */
  readonly stdin?:
    | "input"
    | {
        /** What the program reads, with values as in the arguments. */
        readonly text: string;
      };
  /**
   * Variables that the program gets: names that are passed on from the worker's own environment, and texts with values as in
   * the arguments. Others are not passed on, so that the worker's secrets are not.
   * @default `PATH`, `HOME`, `USER`, `LANG`, `LC_ALL`, `TZ`, `TMPDIR`
   */
  readonly env?: {
    /** Names that are passed on from the worker's own environment. @default those above */
    readonly pass?: readonly string[];
    /** Values by name, with values as in the arguments. @default none */
    readonly set?: Readonly<Record<string, string>>;
  };
  /**
   * Folder that the program runs in; a text with values as in the arguments.
   * @default the scratch folder of the attempt
   */
  readonly cwd?: string;
  /**
   * What the handler returns: how the program ended (`{ exitCode }`), its standard output as text, or parsed as JSON. Texts of
   * more than 1 MiB fail the task with `RESULT_TOO_LARGE`.
   * @default "exit"
   */
  readonly result?: "exit" | "text" | "json";
  /**
   * Finds progress in a line of either output, by named groups: `percent` (0 to 100), `fraction` (0 to 1), or `done` and
   * `total`; and `message`.
   * @default none
   *
   * @example
   * ```ts
   * const progress = /(?<done>\d+) of (?<total>\d+) pages/;
   * ```
   */
  readonly progress?: RegExp;
  /**
   * What exit codes mean. One in none of the lists is retried, as far as the retry policy goes.
   * @default `{ success: [0] }`
   */
  readonly exitCodes?: {
    /** The attempt has succeeded: integers from 0 to 255. @default `[0]` */
    readonly success?: readonly number[];
    /** It failed and is retried as the retry policy says: integers from 0 to 255. @default none */
    readonly retry?: readonly number[];
    /** It failed and is not retried: integers from 0 to 255. @default none */
    readonly permanent?: readonly number[];
  };
  /**
   * Seconds between SIGTERM and SIGKILL when the attempt is stopped, 0 to 3,600. Every process that the program has started
   * gets both.
   * @default 5
   */
  readonly killGraceS?: number;
  /**
   * Memory of the program and its children in bytes, at least 1 MiB; beyond it the kernel kills them and the attempt fails as
   * out of memory. It needs a cgroup that the worker may write; without one the task ends with a warning
   * (`MEMORY_LIMIT_NOT_APPLIED`) that says why.
   * @default none
   */
  readonly memoryLimitBytes?: number;
}

/** The options with their effective values. */
export interface CommandSettings {
  readonly argv: readonly string[];
  readonly stdin: "none" | "input" | { readonly text: string };
  readonly pass: readonly string[];
  readonly set: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly result: "exit" | "text" | "json";
  readonly progress: RegExp | undefined;
  readonly success: ReadonlySet<number>;
  readonly retry: ReadonlySet<number>;
  readonly permanent: ReadonlySet<number>;
  readonly killGraceMs: number;
  readonly memoryLimitBytes: number | undefined;
}

const DEFAULT_PASS = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];
const RESULTS = ["exit", "text", "json"];
const GROUPS = ["percent", "fraction", "done"];
const DEFAULT_GRACE_S = 5;
const MIN_MEMORY = 1024 * 1024;

const NAMES: OptionNames<CommandOptions> = {
  stdin: true,
  env: true,
  cwd: true,
  result: true,
  progress: true,
  exitCodes: true,
  killGraceS: true,
  memoryLimitBytes: true,
};

const ENV_NAMES: OptionNames<NonNullable<CommandOptions["env"]>> = { pass: true, set: true };

const EXIT_NAMES: OptionNames<NonNullable<CommandOptions["exitCodes"]>> = {
  success: true,
  retry: true,
  permanent: true,
};

/** @throws OptionsError with every fault at once. */
export function compileCommand(argv: readonly string[], options: CommandOptions): CommandSettings {
  const faults: string[] = [
    ...unknownOptions(options, NAMES),
    ...unknownOptions(options.env, ENV_NAMES, "env."),
    ...unknownOptions(options.exitCodes, EXIT_NAMES, "exitCodes."),
  ];
  const { env = {}, exitCodes = {}, killGraceS = DEFAULT_GRACE_S, progress, memoryLimitBytes } = options;
  const { cwd = "{scratch}", result = "exit", stdin } = options;
  if (typeof argv === "string")
    faults.push(
      `the command: is the text ${JSON.stringify(argv)}; give a list, for example ["cp", "{input.path}"]`,
    );
  else if (!Array.isArray(argv) || argv.length === 0 || argv[0] === "")
    faults.push(
      'the command: is empty; give the program and its arguments, for example ["cp", "{input.path}"]',
    );
  const check = (where: string, text: unknown): void => {
    const fault = typeof text === "string" ? templateFault(text) : `is ${typeof text}; give a text`;
    if (fault !== undefined) faults.push(`${where}: ${fault}`);
  };
  for (const [at, argument] of (Array.isArray(argv) ? argv : []).entries()) check(`argument ${at}`, argument);
  for (const [name, text] of Object.entries(env.set ?? {})) check(`option env.set.${name}`, text);
  for (const name of [...(env.pass ?? []), ...Object.keys(env.set ?? {})])
    if (typeof name !== "string" || !/^[^=\0]+$/.test(name))
      faults.push(`option env: ${JSON.stringify(name)} is no name of a variable`);
  check("option cwd", cwd);
  if (stdin !== undefined && stdin !== "input") check("option stdin.text", Object(stdin).text);
  if (!RESULTS.includes(result))
    faults.push(`option result: "${result}" is not one of ${RESULTS.join(", ")}`);
  if (progress !== undefined && !hasGroup(progress))
    faults.push(
      "option progress: is no regular expression with a group (?<percent>...), (?<fraction>...) or (?<done>...)",
    );
  const { success = [0], retry = [], permanent = [] } = exitCodes;
  const codes = [...success, ...retry, ...permanent];
  for (const code of codes)
    if (!Number.isInteger(code) || code < 0 || code > 255)
      faults.push(`option exitCodes: ${String(code)} is not an integer from 0 to 255`);
  if (new Set(codes).size < codes.length) faults.push("option exitCodes: a code is in it twice");
  if (!(killGraceS >= 0 && killGraceS <= 3_600))
    faults.push(`option killGraceS: ${killGraceS} is not a number from 0 to 3600`);
  if (
    memoryLimitBytes !== undefined &&
    !(Number.isSafeInteger(memoryLimitBytes) && memoryLimitBytes >= MIN_MEMORY)
  )
    faults.push(`option memoryLimitBytes: ${memoryLimitBytes} is not an integer of at least ${MIN_MEMORY}`);
  if (faults.length > 0) throw new OptionsError("command()", faults);
  return {
    argv: [...argv],
    stdin: stdin ?? "none",
    pass: env.pass ?? DEFAULT_PASS,
    set: { ...env.set },
    ...{ cwd, result, progress, memoryLimitBytes },
    success: new Set(success),
    retry: new Set(retry),
    permanent: new Set(permanent),
    killGraceMs: killGraceS * 1000,
  };
}

function hasGroup(pattern: unknown): boolean {
  return pattern instanceof RegExp && GROUPS.some((name) => pattern.source.includes(`(?<${name}>`));
}
