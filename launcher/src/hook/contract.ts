/** Version 1 of the contract between the launcher and a hook; docs/hooks.md describes it. */
import { quoted } from "@muster/common/text/text";
import type { LaunchPhase } from "../driver.ts";

/** The version that calls name. */
export const HOOK_VERSION = 1;

/** What a hook is called with. */
export type HookVerb = "start" | "stop" | "list";

/** Most launches in an answer. */
const MAX_LAUNCHES = 10_000;

/** Longest texts of an answer. */
const MAX_HANDLE = 256;
const MAX_REASON = 100;
const MAX_DETAIL = 2_000;
const MAX_TAIL = 16_384;

const LAUNCH_ID = /^[a-z][a-z0-9-]{0,59}$/;
const STATES: ReadonlySet<unknown> = new Set(["pending", "running", "ended"]);

/** The answer to `start`. */
export interface StartAnswer {
  /** The hook's own name for what it started, passed to its later calls; empty for none. */
  readonly handle: string;
  readonly detail: string;
}

/** A launch as `list` shows it. */
export interface ListedLaunch {
  readonly launchId: string;
  readonly state: LaunchPhase;
  readonly handle: string;
  readonly reason: string;
  readonly detail: string;
  readonly exitCode: number | undefined;
  readonly signal: string;
  readonly outOfMemory: boolean;
  readonly outputBytes: number;
  readonly outputAgeMs: number | undefined;
  readonly logTail: string;
}

/** An answer that breaks the contract. */
export class AnswerError extends Error {
  override readonly name = "AnswerError";
}

/** The answer to `start`; nothing is an empty one. @throws AnswerError */
export function readStart(stdout: string): StartAnswer {
  const answer = stdout.trim() === "" ? {} : objectOf(parsed(stdout), "the answer");
  return {
    handle: textOf(answer, "handle", "", MAX_HANDLE),
    detail: textOf(answer, "detail", "", MAX_DETAIL),
  };
}

/** The answer to `list`. @throws AnswerError */
export function readList(stdout: string): readonly ListedLaunch[] {
  const { launches } = objectOf(parsed(stdout), "the answer");
  if (!Array.isArray(launches))
    throw new AnswerError(`"launches" is ${shown(launches)}, and must be a list; [] for none`);
  if (launches.length > MAX_LAUNCHES)
    throw new AnswerError(
      `"launches" has ${launches.length} entries; at most ${MAX_LAUNCHES} are allowed: list those of this launcher only`,
    );
  return launches.map((value: unknown, index): ListedLaunch => {
    const at = `launches[${index}]`;
    const entry = objectOf(value, at);
    const { launch_id: launchId, state, exit_code: exitCode, out_of_memory: outOfMemory } = entry;
    if (typeof launchId !== "string" || !LAUNCH_ID.test(launchId))
      throw new AnswerError(`${at}.launch_id is ${shown(launchId)}, which no launch is called`);
    if (!isState(state))
      throw new AnswerError(`${at}.state is ${shown(state)}, and must be pending, running or ended`);
    if (exitCode !== undefined && exitCode !== null && !isExitCode(exitCode))
      throw new AnswerError(`${at}.exit_code is ${shown(exitCode)}, and must be a whole number below 2^31`);
    const age = numberOf(entry, "output_age_s", at);
    return {
      launchId,
      state,
      handle: textOf(entry, "handle", at, MAX_HANDLE),
      reason: textOf(entry, "reason", at, MAX_REASON),
      detail: textOf(entry, "detail", at, MAX_DETAIL),
      exitCode: isExitCode(exitCode) ? exitCode : undefined,
      signal: textOf(entry, "signal", at, MAX_REASON),
      outOfMemory: outOfMemory === true,
      outputBytes: Math.floor(numberOf(entry, "output_bytes", at) ?? 0),
      outputAgeMs: age === undefined ? undefined : age * 1_000,
      logTail: textOf(entry, "log_tail", at, Number.POSITIVE_INFINITY).slice(-MAX_TAIL),
    };
  });
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new AnswerError(
      text.trim() === "" ? "it printed nothing" : `it printed no JSON, but ${shown(text.trim())}`,
    );
  }
}

function objectOf(value: unknown, at: string): Readonly<Record<string, unknown>> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw new AnswerError(`${at} is ${shown(value)}, and must be an object`);
  return { ...value };
}

/** A text, cut; empty when it is missing. */
function textOf(object: Readonly<Record<string, unknown>>, name: string, at: string, max: number): string {
  const value = object[name] ?? "";
  if (typeof value !== "string")
    throw new AnswerError(`${at === "" ? name : `${at}.${name}`} is ${shown(value)}, and must be a text`);
  return value.slice(0, max);
}

function numberOf(object: Readonly<Record<string, unknown>>, name: string, at: string): number | undefined {
  const value = object[name] ?? undefined;
  if (value === undefined) return undefined;
  if (typeof value !== "number" || !(value >= 0) || value > Number.MAX_SAFE_INTEGER)
    throw new AnswerError(`${at}.${name} is ${shown(value)}, and must be a number of 0 or more`);
  return value;
}

function isState(value: unknown): value is LaunchPhase {
  return STATES.has(value);
}

function isExitCode(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && Math.abs(value) < 2 ** 31;
}

function shown(value: unknown): string {
  if (value === undefined) return "missing";
  return typeof value === "string" ? quoted(value, 100) : quoted(JSON.stringify(value), 100);
}
