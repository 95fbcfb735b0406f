/** Runs a command line, and turns its errors into messages and exit codes. */
import { type Command, CommanderError } from "commander";
import { CliError } from "./errors.ts";
import { ExitCode } from "./exit-codes.ts";
import type { Io } from "./io/io.ts";
import { createProgram } from "./program.ts";

/**
 * Runs the command line `argv` (without node and script) and returns the exit code. An error of a command is reported on
 * stderr, as JSON with `--json`, and not thrown.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode: number = ExitCode.DONE;
  const program = await createProgram(argv, io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return ExitCode.DONE;
    const { describeFailure, writeFailure } = await import("./api/failure-report.ts");
    const report = describeFailure(
      error instanceof CommanderError ? usageError(error, argv, program) : error,
    );
    writeFailure(io.stderr, report, wantsJson(argv));
    return report.exitCode;
  }
  return exitCode;
}

function usageError(error: CommanderError, argv: readonly string[], program: Command): CliError {
  const bare = error.code === "commander.help";
  const noCommand = argv[0] === "help" ? `there is no command "${argv[1]}"` : "no command is given";
  return new CliError(bare ? noCommand : error.message.replace(/^error: /, ""), {
    exitCode: ExitCode.USAGE,
    remedy: bare ? "`muster --help` lists them" : `\`${commandOf(argv, program)} --help\` shows how`,
    cause: error,
  });
}

/** The command of a command line, for example `muster queue pause`, up to its last known word. */
function commandOf(argv: readonly string[], program: Command): string {
  let command = program;
  const words = ["muster"];
  for (const word of argv) {
    if (word.startsWith("-")) continue;
    const next = command.commands.find((each) => each.name() === word || each.aliases().includes(word));
    // A value of an option before the command, or the command's own argument.
    if (next === undefined) {
      if (command === program && words.length === 1) continue;
      break;
    }
    command = next;
    words.push(next.name());
  }
  return words.join(" ");
}

/** Whether `--json` was given; also true for a command line that does not parse. */
function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return argv.slice(0, end === -1 ? argv.length : end).includes("--json");
}
