/** Runs a program as a task. */
import { randomUUID } from "node:crypto";
import { basename, isAbsolute, join } from "node:path";
import type { TaskContext } from "../attempt/context.ts";
import { systemClock } from "../clock.ts";
import { NonRetryableError, RetryableError } from "../errors.ts";
import { ISOLATE_MARK } from "../isolate/isolate-options.ts";
import { processEnvironment } from "../options/connection-options.ts";
import { type CommandOptions, type CommandSettings, compileCommand } from "./command-options.ts";
import { MemoryGroup } from "./memory-group.ts";
import { checkEnd } from "./outcome.ts";
import { MARK } from "./process-tree.ts";
import { Program } from "./program.ts";
import { progressIn } from "./progress-line.ts";
import { filled, TemplateError, type TemplateValues } from "./template.ts";

/** Errors of a start that another attempt would meet, too. */
const FINAL_START_CODES: ReadonlySet<string> = new Set(["ENOENT", "EACCES", "E2BIG", "ENOEXEC", "ENOTDIR"]);

/**
 * A handler that runs a program: its arguments are filled with the payload, its output is the output and the log of the task,
 * its exit code decides the outcome, and when the attempt is stopped every process that it has started is ended.
 *
 * No shell reads the arguments: a value is one argument, or a part of one, whatever characters it has. A value that begins with
 * `-` may still be read as an option by the program: put `--` before it where the program knows that.
 *
 * @param argv The program and its arguments. `{input}` is a payload that is a text or a number, `{input.NAME}` a value of a
 * payload that is an object; `{scratch}`, `{task.id}`, `{task.type}`, `{task.queue}`, `{attempt.id}` and `{attempt.number}`
 * are the attempt's. `{{` and `}}` are braces.
 * @throws OptionsError with every fault of the arguments and options at once.
 *
 * @example
 * ```ts
 * const worker = new Worker({
 *   tasks: {
 *     "video.convert": command(["ffmpeg", "-i", "{input.path}", "{scratch}/out.webm"], {
 *       progress: /(?<percent>\d+)%/,
 *       exitCodes: { success: [0], permanent: [1] },
 *     }),
 *   },
 * });
 * ```
 */
export function command(
  argv: readonly string[],
  options: CommandOptions = {},
): (ctx: TaskContext<unknown>) => Promise<unknown> {
  const settings = compileCommand(argv, options);
  return (ctx) => runCommand(ctx, settings);
}

async function runCommand(ctx: TaskContext<unknown>, settings: CommandSettings): Promise<unknown> {
  const scratch = await ctx.scratch();
  const start = prepared(ctx, settings, scratch);
  const [file = ""] = start.argv;
  const name = basename(file);
  const group = memoryGroup(ctx, settings);
  try {
    ctx.signal.throwIfAborted();
    const program = started({
      ...start,
      argv: group?.within(start.argv) ?? start.argv,
      clock: systemClock,
      onChunk: (chunk) => ctx.output(chunk),
      onLine: (line, from) => {
        if (from === "stdout") ctx.log.info({ stream: from }, line);
        else ctx.log.warn({ stream: from }, line);
        const progress = settings.progress && progressIn(line, settings.progress);
        if (progress !== undefined) ctx.progress(progress.howFar, progress.message);
      },
      keepOutput: settings.result !== "exit",
    });
    const stop = (): void => program.stop(settings.killGraceMs);
    ctx.signal.addEventListener("abort", stop, { once: true });
    try {
      const end = await program.ended(group);
      // The handler was asked to stop: whatever the program made of the signal, this is why it ended.
      ctx.signal.throwIfAborted();
      if (end.startError !== undefined) throw startFailed(end.startError, start);
      checkEnd(name, end, settings);
      return resultOf(settings, end.code ?? 0, program.output, name);
    } finally {
      ctx.signal.removeEventListener("abort", stop);
    }
  } finally {
    group?.remove();
  }
}

/** @throws RetryableError or NonRetryableError for a program that the system refuses to start at once. */
function started(options: ConstructorParameters<typeof Program>[0]): Program {
  try {
    return new Program(options);
  } catch (error) {
    if (isSystemError(error)) throw startFailed(error, options);
    throw error;
  }
}

function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && "code" in error && typeof error.code === "string";
}

interface Start {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly mark: string;
  readonly cwd: string;
  readonly stdin: Uint8Array | string | undefined;
}

/** @throws NonRetryableError `INVALID_PAYLOAD` for a template that cannot be filled. */
function prepared(ctx: TaskContext<unknown>, settings: CommandSettings, scratch: string): Start {
  const values: TemplateValues = { input: ctx.payload, scratch, task: ctx.task, attempt: ctx.attempt };
  const { stdin, pass, set, cwd, argv } = settings;
  const mark = randomUUID();
  try {
    const passed = pass.flatMap((name) => {
      const value = processEnvironment[name];
      return value === undefined ? [] : [[name, value] as const];
    });
    const made = Object.entries(set).map(
      ([name, text]) => [name, filled(text, values, `env.set.${name}`)] as const,
    );
    const folder = filled(cwd, values, "cwd");
    return {
      argv: argv.map((text, at) => filled(text, values, `argument ${at}`)),
      env: Object.fromEntries([
        ...passed,
        // The program of an isolated handler ends with the handler's process.
        ...[processEnvironment[ISOLATE_MARK]].flatMap((own) => (own ? [[ISOLATE_MARK, own] as const] : [])),
        ["MUSTER_TASK_ID", ctx.task.id],
        ["MUSTER_ATTEMPT_ID", ctx.attempt.id],
        ...made,
        [MARK, mark],
      ]),
      mark,
      cwd: isAbsolute(folder) ? folder : join(scratch, folder),
      stdin:
        stdin === "none"
          ? undefined
          : stdin === "input"
            ? ctx.rawPayload
            : filled(stdin.text, values, "stdin.text"),
    };
  } catch (error) {
    if (error instanceof TemplateError)
      throw new NonRetryableError(error.message, { code: "INVALID_PAYLOAD", cause: error });
    throw error;
  }
}

function memoryGroup(
  ctx: TaskContext<unknown>,
  { memoryLimitBytes }: CommandSettings,
): MemoryGroup | undefined {
  if (memoryLimitBytes === undefined) return undefined;
  const group = MemoryGroup.make(`${ctx.attempt.id}-${randomUUID()}`, memoryLimitBytes);
  if (typeof group !== "string") return group;
  const message = `the program runs without the limit of ${memoryLimitBytes} bytes: ${group}`;
  ctx.warn({ step: "memory_limit", code: "MEMORY_LIMIT_NOT_APPLIED", message });
  return undefined;
}

function startFailed(
  error: NodeJS.ErrnoException,
  { argv, cwd }: { readonly argv: readonly string[]; readonly cwd: string },
): Error {
  const message = `${argv[0]} could not be started in ${cwd}: ${error.message}`;
  const code = error.code ?? "START_FAILED";
  return FINAL_START_CODES.has(code)
    ? new NonRetryableError(message, { code, cause: error })
    : new RetryableError(message, { code, cause: error });
}

function resultOf(
  { result }: CommandSettings,
  exitCode: number,
  output: { readonly text: string; readonly complete: boolean },
  name: string,
): unknown {
  if (result === "exit") return { exitCode };
  if (!output.complete)
    throw new NonRetryableError(
      `${name} wrote more than 1 MiB to standard output; let it write a file and return a reference`,
      { code: "RESULT_TOO_LARGE" },
    );
  if (result === "text") return output.text;
  try {
    return JSON.parse(output.text);
  } catch {
    // The parser's message quotes the output, which may hold anything.
    throw new NonRetryableError(
      `${name} wrote ${output.text.length} characters to standard output that are no JSON; the option result is "json"`,
      { code: "INVALID_RESULT" },
    );
  }
}
