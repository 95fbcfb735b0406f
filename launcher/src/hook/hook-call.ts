/** One call of a hook: its process, bounded in time and output. */
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { signalGroup } from "@muster/common/process/process-group";
import { cutToEnd } from "@muster/common/text/text";
import type { Clock } from "../clock.ts";
import type { DriverContext } from "../driver.ts";
import type { Environment } from "../environment.ts";
import { HOOK_VERSION, type HookVerb } from "./contract.ts";
import type { Hook } from "./hook-records.ts";

/** Most bytes of an answer; a hook that prints more is killed. */
const MAX_ANSWER: Readonly<Record<HookVerb, number>> = {
  start: 64 * 1024,
  stop: 64 * 1024,
  list: 4 * 1024 * 1024,
};

/** Characters that are kept of what a hook writes to its standard error. */
const MAX_ERRORS = 16_384;

/** The output of a hook that has ended is read for this long: a process that it left running may hold it open. */
const AFTER_END_MS = 500;

/** What is called. */
export interface HookCall {
  readonly verb: HookVerb;
  /** The program and its arguments; the verb is appended. */
  readonly command: readonly string[];
  /** Written to its standard input as JSON. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly env: Environment;
  readonly timeoutMs: number;
  /** Called with its pid before it has its input. */
  readonly onStarted?: (pid: number) => void;
}

/** What became of a call. */
export type HookResult =
  | { readonly ok: true; readonly stdout: string }
  | {
      readonly ok: false;
      /** A sentence without the name of the verb: `exited with code 3: no such host`. */
      readonly fault: string;
      /** Nothing has run: the program is missing or not executable. */
      readonly neverRan: boolean;
      /** The end of its standard error. */
      readonly errors: string;
    };

/** Calls a hook. Its processes are killed when its time is over, when it prints too much, and when `signal` aborts. */
async function callHook(call: HookCall, clock: Clock, signal: AbortSignal): Promise<HookResult> {
  const [program = "", ...args] = call.command;
  const child = spawn(program, [...args, call.verb], {
    env: { ...call.env },
    // A group of its own: what it has started is killed with it, and Ctrl-C of a terminal does not reach it.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  const { promise: ended, resolve: end } = Promise.withResolvers<string>();
  child.once("error", (error) => end(`could not be started: ${error.message}`));
  child.once("exit", (code, by) =>
    end(by ? `was killed by ${by}` : code === 0 ? "" : `exited with code ${code}`),
  );
  let killed = "";
  const kill = (why: string) => {
    killed ||= why;
    if (child.pid !== undefined) signalGroup(child.pid, "SIGKILL");
  };
  const cancel = clock.after(call.timeoutMs, () =>
    kill(`did not end within ${call.timeoutMs / 1_000} s, and was killed`),
  );
  const abort = () => kill("was killed because the launcher stops");
  signal.addEventListener("abort", abort);
  if (signal.aborted) abort();
  const max = MAX_ANSWER[call.verb];
  const answer = collect(child.stdout, (chunks, chunk) => {
    const size = chunks.reduce((sum, each) => sum + each.length, chunk.length);
    if (size > max) kill(`printed more than ${max} bytes, and was killed`);
    return size > max ? chunks : [...chunks, chunk];
  });
  const errors = collect(child.stderr, (chunks, chunk) => {
    const kept = Buffer.concat([...chunks, chunk]);
    return [kept.subarray(Math.max(0, kept.length - 4 * MAX_ERRORS))];
  });
  if (child.pid !== undefined) call.onStarted?.(child.pid);
  // A hook may end without reading it.
  child.stdin.on("error", () => undefined);
  child.stdin.end(JSON.stringify(call.input));
  const how = await ended;
  cancel();
  signal.removeEventListener("abort", abort);
  await Promise.race([Promise.all([answer.closed, errors.closed]), clock.sleep(AFTER_END_MS, signal)]);
  for (const stream of [child.stdin, child.stdout, child.stderr]) stream.destroy();
  child.unref();
  const fault = killed || how;
  if (fault === "") return { ok: true, stdout: answer.text() };
  const last = cutToEnd(errors.text(), MAX_ERRORS);
  return { ok: false, fault: withLast(fault, last), neverRan: child.pid === undefined, errors: last };
}

function collect(stream: Readable, keep: (chunks: readonly Buffer[], chunk: Buffer) => readonly Buffer[]) {
  let chunks: readonly Buffer[] = [];
  stream.on("data", (chunk: Buffer) => {
    chunks = keep(chunks, chunk);
  });
  const closed = new Promise<void>((resolve) => {
    stream.once("close", resolve);
    stream.once("error", () => resolve());
  });
  return { closed, text: () => Buffer.concat(chunks).toString("utf8") };
}

/** A fault with the last line of the standard error. */
function withLast(fault: string, errors: string): string {
  const line = errors.trimEnd().split("\n").at(-1)?.trim() ?? "";
  return line === "" ? fault : `${fault}: ${line.slice(-500)}`;
}

/** Calls a hook as the contract asks. */
export function callOf(
  { launcherId, env, clock }: DriverContext,
  { command, settings, timeoutMs }: Hook,
  verb: HookVerb,
  input: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
  onStarted?: (pid: number) => void,
): Promise<HookResult> {
  return callHook(
    {
      ...{ verb, command, env, timeoutMs, ...(onStarted ? { onStarted } : {}) },
      input: { version: HOOK_VERSION, verb, launcher_id: launcherId, settings, ...input },
    },
    clock,
    signal,
  );
}
