/** The options of the commands that run workers and tasks, as `muster COMMAND --help` has them. */
import type { Command } from "commander";
import { processIo } from "../../../../cli/src/io/io.ts";
import { createProgram } from "../../../../cli/src/program.ts";

/** The commands of the page, in its order. */
const COMMANDS = [
  "worker exec",
  "worker dev",
  "invoke",
  "run",
  "launcher",
  "submit",
  "worker",
  "worker pause",
  "worker resume",
  "worker release",
  "worker kill",
  "drain",
];

/** An option of a command. */
export interface CommandOption {
  /** With its value, for example `--type <type>`. */
  readonly flags: string;
  /** Undefined: it has to be given, or is a switch. */
  readonly default: string | undefined;
  readonly meaning: string;
  readonly variable: string | undefined;
}

/** The options of a command. */
export interface CommandTable {
  readonly name: string;
  readonly summary: string;
  readonly options: readonly CommandOption[];
}

/** Reads the commands, and the options that all of them have. */
export async function readCommandTables(): Promise<readonly CommandTable[]> {
  const program = await createProgram(
    COMMANDS.flatMap((name) => name.split(" ")),
    processIo({}),
    () => undefined,
  );
  const tables = COMMANDS.map((name) => {
    const command = name.split(" ").reduce<Command>(
      (parent, part) =>
        found(
          parent.commands.find((each) => each.name() === part),
          name,
        ),
      program,
    );
    return { name, summary: command.summary() || command.description(), options: optionsOf(command) };
  });
  const common = new Set(optionsOf(program).map(({ flags }) => flags));
  return [
    ...tables.map((table) => ({
      ...table,
      options: table.options.filter(({ flags }) => !common.has(flags)),
    })),
    { name: "", summary: "", options: optionsOf(program).filter(({ flags }) => flags !== "-V, --version") },
  ];
}

function found(command: Command | undefined, name: string): Command {
  if (command === undefined) throw new Error(`muster has no command ${name}`);
  return command;
}

function optionsOf(command: Command): readonly CommandOption[] {
  return command.options
    .filter(({ hidden }) => !hidden)
    .map((option): CommandOption => {
      const variable = /\(env: (\w+)\)/.exec(option.description)?.[1];
      const said = /[;,] default:? (.+?)(?= \(env:|;|$)/.exec(option.description);
      const value: unknown = option.defaultValueDescription ?? option.defaultValue;
      const takesValue = option.required || option.optional;
      const meaning = option.description.replace(said?.[0] ?? "", "").replace(/ \(env: \w+\)/, "");
      const choices = option.argChoices
        ? `: ${option.argChoices.map((choice) => `\`${choice}\``).join(", ")}`
        : "";
      return {
        flags: option.flags,
        default:
          option.mandatory || !takesValue
            ? undefined
            : (said?.[1] ?? (value === undefined ? "none" : String(value))),
        meaning: `${meaning}${choices}`,
        variable,
      };
    });
}
