import { readFileSync } from "node:fs";
import type { Argument } from "commander";
import { Command } from "commander";
import { addDoctor } from "./commands/explain/doctor.ts";
import { addEvents } from "./commands/explain/events.ts";
import { addTop } from "./commands/explain/top.ts";
import { addWhy } from "./commands/explain/why.ts";
import { addDrain } from "./commands/fleet/drain.ts";
import { addLaunches } from "./commands/fleet/launches.ts";
import { addQueue } from "./commands/fleet/queue.ts";
import { addQueues } from "./commands/fleet/queues.ts";
import { addRun } from "./commands/fleet/run.ts";
import { addWorker } from "./commands/fleet/worker.ts";
import { addWorkers } from "./commands/fleet/workers.ts";
import { addServe } from "./commands/scheduler/serve.ts";
import { addCancel } from "./commands/tasks/cancel.ts";
import { addRetry } from "./commands/tasks/retry.ts";
import { addSubmit } from "./commands/tasks/submit.ts";
import { addTask } from "./commands/tasks/task.ts";
import { addTasks } from "./commands/tasks/tasks.ts";
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

/** The whole command line. Parsing throws CommanderError instead of ending the process. */
export function createProgram(io: Io, setExitCode: (code: number) => void): Command {
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
