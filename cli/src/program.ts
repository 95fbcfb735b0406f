/** The commands of `muster`, put together for one command line. */
import { readFileSync } from "node:fs";
import type { Argument } from "commander";
import { Command } from "commander";
import { COMMANDS } from "./commands/commands.ts";
import { addServe } from "./commands/scheduler/serve.ts";
import { addConnectionOptions } from "./config.ts";
import type { Io } from "./io/io.ts";

const AFTER = `
Start here:
  $ muster dev                           # a scheduler with an embedded PostgreSQL
  $ muster workers                       # in another terminal: workers and their task types
  $ muster submit TYPE '{"a": 1}' --wait # submit a task and wait for its result
  $ muster why t-1                       # why a task is not moving

Output is a table on a terminal and tab-separated when piped. --json prints
protobuf JSON on stdout, and errors as JSON on stderr.

Exit codes:
  0  done
  1  failed, the awaited task failed or was cancelled, or doctor found a fault
  2  wrong usage
  3  not found
  4  refused by the scheduler
  5  scheduler unreachable
  6  --wait-timeout ended the wait`;

/**
 * The program for the command line `argv`. Parsing throws CommanderError instead of ending the process.
 *
 * A command whose name is not in `argv` has no options and no action: its line of `--help` is all that can be used.
 */
export async function createProgram(
  argv: readonly string[],
  io: Io,
  setExitCode: (code: number) => void,
): Promise<Command> {
  const program = new Command("muster")
    .description("Run the Muster scheduler, submit tasks, and ask why something is not moving.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help; `muster COMMAND --help` has examples")
    // Options after a command belong to the command; `serve` passes all of them to the scheduler.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
      getOutHasColors: () => io.stdout.colors.isColorSupported,
      getErrHasColors: () => io.stderr.colors.isColorSupported,
      // `run` writes errors, as text or JSON.
      outputError: () => {},
    })
    .configureHelp({
      styleTitle: (title) => io.stdout.colors.bold(title),
      // Without `[options]`, which every command has: the space is needed for the summary.
      subcommandTerm: (command) =>
        [command.name(), ...command.registeredArguments.map(humanReadableArgument)].join(" "),
    })
    .addHelpCommand(
      new Command("help")
        .argument("[command]")
        .description("show help for a command")
        .helpGroup("Scheduler:"),
    )
    .addHelpText("after", AFTER);
  addConnectionOptions(program);

  for (const [group, entries] of Object.entries(COMMANDS)) {
    program.commandsGroup(group);
    for (const { usage, summary, load } of entries) {
      const [name = ""] = usage.split(" ");
      const used = argv.includes(name);
      const command = program.command(used ? name : usage).summary(summary);
      if (used) (await load())(command, io, setExitCode, packageVersion());
    }
  }
  program.commandsGroup("Scheduler:");
  addServe(program, io, setExitCode, packageVersion());
  return program;
}

function humanReadableArgument(argument: Argument): string {
  const name = `${argument.name()}${argument.variadic ? "..." : ""}`;
  return argument.required ? `<${name}>` : `[${name}]`;
}

function packageVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  if (typeof manifest === "object" && manifest !== null && "version" in manifest)
    return String(manifest.version);
  throw new TypeError("the package.json of @muster/cli has no version");
}
