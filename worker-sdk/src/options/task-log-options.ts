/** The option `taskLogs` of a worker: which lines of `ctx.log` are kept with the task, and what is masked in them. */

import { Redactor } from "@muster/common/text/redact";
import type { Environment } from "./connection-options.ts";
import { type OptionNames, unknownOptions } from "./known-options.ts";

const NAMES: OptionNames<TaskLogOptions> = { level: true, redactKeys: true, redactPatterns: true };

/** Levels of lines, the least important first. */
const LEVELS = ["debug", "info", "warn", "error"] as const;

/** Most names and patterns. */
const MAX_RULES = 100;

/** What is kept of `ctx.log`, and what is masked in it before it leaves the worker. */
export interface TaskLogOptions {
  /**
   * Lines of this level or a higher one are kept.
   * @default `WORKER_TASK_LOGS`, else "info"
   */
  readonly level?: "debug" | "info" | "warn" | "error";
  /**
   * Names of facts whose values are masked, at any depth, in upper or lower case: at most 100. Names that say that they hold
   * a secret (`password`, `apiKey`, ...) are masked without being listed.
   * @default none
   */
  readonly redactKeys?: readonly string[];
  /**
   * What is masked in messages and in the texts of facts: at most 100 patterns. Bearer tokens, passwords in URLs and values
   * of secret environment variables are masked without one.
   * @default none
   */
  readonly redactPatterns?: readonly RegExp[];
}

/** The option with its effective values. */
export interface TaskLogSettings {
  readonly level: (typeof LEVELS)[number];
  /** In lower case. */
  readonly redactKeys: ReadonlySet<string>;
  /** Each with the flag `g`. */
  readonly redactPatterns: readonly RegExp[];
  readonly redactor: Redactor;
}

/** Reads the option and its variable; undefined when no lines are kept. Faults are added to `faults`. */
export function resolveTaskLogs(
  option: TaskLogOptions | false | undefined,
  env: Environment,
  faults: string[],
): TaskLogSettings | undefined {
  if (option === false) return undefined;
  if (option !== undefined && (typeof option !== "object" || option === null)) {
    faults.push(
      `option taskLogs: is ${String(option)}; give false, or { level, redactKeys, redactPatterns }`,
    );
    return undefined;
  }
  faults.push(...unknownOptions(option, NAMES, "taskLogs."));
  const { redactKeys = [], redactPatterns = [] } = option ?? {};
  if (!Array.isArray(redactKeys) || redactKeys.length > MAX_RULES || !redactKeys.every(isName))
    faults.push(`option taskLogs.redactKeys: is not a list of at most ${MAX_RULES} names`);
  if (
    !Array.isArray(redactPatterns) ||
    redactPatterns.length > MAX_RULES ||
    !redactPatterns.every((each) => each instanceof RegExp)
  )
    faults.push(`option taskLogs.redactPatterns: is not a list of at most ${MAX_RULES} regular expressions`);
  const level = levelOf(option?.level, env, faults);
  if (faults.length > 0 || level === "off") return undefined;
  return {
    level,
    redactKeys: new Set(redactKeys.map((name) => name.toLowerCase())),
    redactPatterns: redactPatterns.map(
      ({ source, flags }) => new RegExp(source, `${flags.replace("g", "")}g`),
    ),
    redactor: new Redactor(env),
  };
}

function levelOf(
  option: string | undefined,
  env: Environment,
  faults: string[],
): (typeof LEVELS)[number] | "off" {
  const text = option ?? (env.WORKER_TASK_LOGS?.trim().toLowerCase() || "info");
  if (option === undefined && text === "off") return "off";
  const level = LEVELS.find((known) => known === text);
  if (level !== undefined) return level;
  faults.push(
    option === undefined
      ? `WORKER_TASK_LOGS: "${text.slice(0, 64)}" is not one of off, ${LEVELS.join(", ")}`
      : `option taskLogs.level: "${option}" is not one of ${LEVELS.join(", ")}; to keep no lines give taskLogs: false`,
  );
  return "info";
}

function isName(name: unknown): boolean {
  return typeof name === "string" && name !== "";
}
