import { readFileSync } from "node:fs";
import type { Argument } from "commander";
import { Command } from "commander";
import { addCancel } from "./commands/cancel.ts";
import { addDoctor } from "./commands/doctor.ts";
import { addDrain } from "./commands/drain.ts";
import { addEvents } from "./commands/events.ts";
import { addLaunches } from "./commands/launches.ts";
import { addQueue } from "./commands/queue.ts";
import { addQueues } from "./commands/queues.ts";
import { addRetry } from "./commands/retry.ts";
import { addRun } from "./commands/run.ts";
import { addServe } from "./commands/serve.ts";
import { addSubmit } from "./commands/submit.ts";
import { addTask } from "./commands/task.ts";
import { addTasks } from "./commands/tasks.ts";
import { addTop } from "./commands/top.ts";
import { addWhy } from "./commands/why.ts";
import { addWorker } from "./commands/worker.ts";
import { addWorkers } from "./commands/workers.ts";
import { addConnectionOptions } from "./config.ts";
import type { Io } from "./io.ts";

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

/** The whole command line. Parsing throws CommanderError instead of ending the process. */
export function createProgram(io: Io, setExitCode: (code: number) => void): Command {
  const program = new Command("muster")
    .description("Run the Muster scheduler, submit tasks, and ask why something is not moving.")
    .version(packageVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "show this help; `muster COMMAND --help` has examples")
    // Options after a command are the command's; `serve` hands all of its to the scheduler.
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
      getOutHasColors: () => io.stdout.colors.isColorSupported,
      getErrHasColors: () => io.stderr.colors.isColorSupported,
      // `main` says what went wrong, in the form that was asked for.
      outputError: () => {},
    })
    .configureHelp({
      styleTitle: (title) => io.stdout.colors.bold(title),
      // Without `[options]`, which every command has: the room is needed for what they do.
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

  program.commandsGroup("Tasks:");
  addSubmit(program, io);
  addTasks(program, io);
  addTask(program, io);
  addCancel(program, io);
  addRetry(program, io);
  program.commandsGroup("Fleet:");
  addWorkers(program, io);
  addWorker(program, io);
  addDrain(program, io);
  addRun(program, io, setExitCode);
  addLaunches(program, io);
  addQueues(program, io);
  addQueue(program, io);
  program.commandsGroup("Explain:");
  addWhy(program, io);
  addEvents(program, io);
  addTop(program, io);
  addDoctor(program, io, setExitCode, packageVersion());
  program.commandsGroup("Scheduler:");
  addServe(program, io, setExitCode);
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
