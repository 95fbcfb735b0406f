/** `muster invoke FILE TYPE PAYLOAD`: runs one task of a worker's file in this terminal, without a scheduler. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { parseDuration } from "@muster/common/duration";
import { closestNames } from "@muster/common/text/closest-names";
import type { Command } from "commander";
import { argument, wholeNumber } from "../../arguments/parse.ts";
import { type Payload, readPayload } from "../../arguments/tasks/payload.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import type {
  CancelRequest,
  InvokeAnswer,
  InvokeOutcome,
  InvokeRequest,
} from "../../local/invoke-protocol.ts";
import { nodeOptions } from "../../local/node-options.ts";
import { writeValue } from "../../output/result.ts";
import { oneLine } from "../../output/text.ts";

interface Options {
  readonly contentType?: string;
  readonly timeout?: number;
  readonly attempt: number;
  readonly json?: true;
}

/** `muster invoke`: one task, once, in the terminal. */
export function defineInvoke(command: Command, io: Io): void {
  command
    .argument("<file>", "a worker's file: one that starts a worker, or exports one")
    .argument("<type>", "task type")
    .argument("[payload]", "JSON, @FILE for a file's content, or - for standard input")
    .description(
      "Runs one task of a worker's file once, in a process of its own, without a scheduler. The worker neither connects nor listens: its set-up, its handler with everything around it, and its tear-down run. There is no retry.",
    )
    .option("--content-type <type>", "media type of the payload; default: as for `muster submit`")
    .option("--timeout <duration>", "hard limit of the run; default: none", argument(parseDuration))
    .option("--attempt <n>", "number of the attempt that the handler sees", wholeNumber(1, 1000), 1)
    .option("--json", "print how the run ended as JSON")
    .addHelpText(
      "after",
      `
The result is written to stdout. Progress, streamed output, the log and all that the
file itself writes go to stderr. The exit code is 0 when the task succeeded, 1 when it
failed or was cancelled. Ctrl-C cancels the task and waits for its handler; a second
one kills the process; then the exit code is 130.

The file runs as with \`node FILE\`: NODE_OPTIONS apply, and Node runs TypeScript by
itself.

Examples:
  $ muster invoke worker.ts greet '{"name": "Ada"}'
  $ muster invoke worker.js ocr.page @page.png > page.json
  $ WORKER_LOG_LEVEL=warn muster invoke worker.ts report.build - < input.json`,
    )
    .action(async (file: string, type: string, payload: string | undefined, options: Options) => {
      await invoke(file, type, await readPayload(payload, options.contentType, io.stdin), options, io);
    });
}

async function invoke(file: string, type: string, payload: Payload, options: Options, io: Io): Promise<void> {
  const path = resolve(file);
  if (!existsSync(path))
    throw new CliError(`there is no file ${path}`, {
      exitCode: ExitCode.USAGE,
      remedy: "give the path of the file that starts your worker, for example worker.ts",
    });
  const child = start(path, io);
  const request: InvokeRequest = {
    kind: "invoke",
    type,
    payload: payload.bytes,
    contentType: payload.contentType,
    attempt: options.attempt,
    timeoutS: options.timeout === undefined ? undefined : options.timeout / 1000,
  };
  // A process that has ended is reported by its exit.
  child.send(request, () => {});
  let interrupts = 0;
  const release = io.onStop(() => {
    interrupts += 1;
    if (interrupts === 1) {
      io.stderr.write("cancelling; a second Ctrl-C kills the process\n");
      const cancel: CancelRequest = { kind: "cancel", reason: "cancelled in the terminal" };
      if (child.connected) child.send(cancel, () => {});
    } else killGroup(child);
  });
  try {
    const answer = await ended(child, io);
    if (interrupts > 0 && answer.kind !== "outcome") throw interrupted();
    finish(answer, file, type, options, interrupts > 0, io);
  } finally {
    release();
  }
}

/** Starts the file in a process group of its own, so that the terminal's Ctrl-C reaches this process alone. */
function start(path: string, io: Io): ChildProcess {
  return spawn(process.execPath, [...nodeOptions(path, "./invoke-preload.ts"), path], {
    env: io.env,
    detached: true,
    serialization: "advanced",
    stdio: ["ignore", 2, 2, "ipc"],
  });
}

function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // It has ended.
  }
}

/** The last answer of the file's process. @throws CliError when it ends without one. */
function ended(
  child: ChildProcess,
  { stderr }: Io,
): Promise<Exclude<InvokeAnswer, { kind: "progress" | "output" }>> {
  return new Promise((resolve, reject) => {
    let last: Exclude<InvokeAnswer, { kind: "progress" | "output" }> | undefined;
    child.on("message", (message) => {
      const answer = message as InvokeAnswer;
      if (answer.kind === "progress") stderr.write(`${stderr.colors.dim(oneLine(answer.text))}\n`);
      else if (answer.kind === "output") stderr.write(answer.data);
      else last = answer;
    });
    child.once("error", reject);
    child.once("exit", (code, signal) => {
      killGroup(child);
      if (last !== undefined) resolve(last);
      else
        reject(
          new CliError(`the file ended with ${signal ?? `exit code ${code}`} before the task had ended`, {
            exitCode: signal === "SIGKILL" ? ExitCode.INTERRUPTED : ExitCode.FAILED,
            reason: "PROCESS_ENDED",
            remedy: "its last lines are above",
          }),
        );
    });
  });
}

function finish(
  answer: Exclude<InvokeAnswer, { kind: "progress" | "output" }>,
  file: string,
  type: string,
  { json }: Options,
  cancelled: boolean,
  io: Io,
): void {
  if (answer.kind === "refused") throw new CliError(answer.message, { exitCode: ExitCode.FAILED });
  if (answer.kind === "unknown") throw unknown(answer, file, type);
  const { outcome } = answer;
  if (json) io.stdout.write(`${JSON.stringify(readable(outcome))}\n`);
  for (const { step, code, message } of outcome.warnings)
    io.stderr.write(`${io.stderr.colors.yellow("warning:")} ${oneLine(`${step}: ${code} ${message}`)}\n`);
  if (cancelled && outcome.state !== "succeeded") throw interrupted();
  if (outcome.state !== "succeeded") throw badEnd(type, outcome);
  if (!json) writeValue(outcome.output, outcome.contentType, io);
}

function unknown(
  { types, workers }: Extract<InvokeAnswer, { kind: "unknown" }>,
  file: string,
  type: string,
): CliError {
  if (workers === 0)
    return new CliError(`${file} neither starts nor exports a worker`, {
      exitCode: ExitCode.NOT_FOUND,
      remedy:
        "call worker.run() in it, or export the worker; a worker of an older @muster/worker cannot be invoked: update it",
    });
  const near = closestNames(type, types);
  return new CliError(`no worker of ${file} has the task type "${type}"`, {
    exitCode: ExitCode.NOT_FOUND,
    remedy: near.length > 0 ? `did you mean ${near.join(" or ")}?` : `it has ${types.join(", ")}`,
  });
}

function badEnd(type: string, { state, failure, message }: InvokeOutcome): CliError {
  const why = failure === undefined ? message : `${failure.code} ${failure.message}`;
  return new CliError(`${type} ${state === "failed" ? "failed" : `was ${state}`}: ${oneLine(why)}`, {
    exitCode: ExitCode.FAILED,
    reason: failure?.code ?? "TASK_CANCELLED",
  });
}

function interrupted(): CliError {
  return new CliError("the task was cancelled by Ctrl-C", {
    exitCode: ExitCode.INTERRUPTED,
    reason: "TASK_CANCELLED",
  });
}

/** The outcome with bytes as base64, as protobuf JSON has them. */
function readable(outcome: InvokeOutcome): object {
  const { output } = outcome;
  return output instanceof Uint8Array
    ? { ...outcome, output: Buffer.from(output).toString("base64") }
    : outcome;
}
