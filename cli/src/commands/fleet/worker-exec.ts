/** `muster worker exec`: runs a worker whose tasks are runs of a program. */
import { parseDuration } from "@muster/common/duration";
import type { Command } from "commander";
import { Option } from "commander";
import { argument, collect, keyValue, wholeNumber } from "../../arguments/parse.ts";
import { addConnectionOptions, callConfig } from "../../config.ts";
import type { Io } from "../../io/io.ts";

interface Options {
  readonly type: string;
  readonly queue?: readonly string[];
  readonly concurrency?: number;
  readonly workerId?: string;
  readonly pool?: string;
  readonly label?: Readonly<Record<string, string>>;
  readonly stdin?: true;
  readonly env?: readonly string[];
  readonly cwd?: string;
  readonly result?: "exit" | "text" | "json";
  readonly progress?: RegExp;
  readonly success?: readonly number[];
  readonly retry?: readonly number[];
  readonly permanent?: readonly number[];
  readonly killGrace?: number;
  readonly memoryLimit?: number;
}

const MIB = 1024 * 1024;

/** `muster worker exec --type T -- PROGRAM ...`: makes a worker of any program. */
export function defineWorkerExec(command: Command, io: Io): void {
  const codes = (flag: string, help: string): Option => new Option(flag, help).argParser(argument(exitCodes));
  command
    .argument(
      "<program...>",
      "the program and its arguments, best after --; {input.NAME} is a value of the payload",
    )
    .summary("run a worker whose tasks are runs of a program")
    .description(
      "Runs a worker that starts the program for each task of a type, in a scratch folder. {input.NAME} in an argument is replaced by that value of the payload; no shell interprets it. The program's output is the task's output and log, its exit code decides the outcome, and a cancelled task ends every process that it has started.",
    )
    .requiredOption("--type <type>", "task type that the worker runs")
    .option("--queue <name>", "queue to take tasks from; may be repeated; default: default", collect)
    .option(
      "--concurrency <n>",
      "programs that run at once (env: WORKER_MAX_CONCURRENCY)",
      wholeNumber(1, 10_000),
    )
    .option("--worker-id <id>", "worker id (env: WORKER_ID)")
    .option("--pool <name>", "pool of the worker (env: MUSTER_POOL)")
    .option("--label <key=value>", "label of the worker; may be repeated", keyValue)
    .option("--stdin", "write the payload to the program's standard input")
    .option(
      "--env <name[=text]>",
      "variable for the program: a name passes on the worker's own, name=text sets it; may be repeated; PATH, HOME, USER, LANG, LC_ALL, TZ and TMPDIR are always passed on",
      collect,
    )
    .option("--cwd <folder>", "folder that the program runs in; default: the scratch folder of the attempt")
    .addOption(
      new Option(
        "--result <form>",
        "what the task returns: the exit code, standard output as text, or parsed; default: exit",
      ).choices(["exit", "text", "json"]),
    )
    .option(
      "--progress <pattern>",
      "regular expression that finds progress in a line: (?<percent>..), (?<fraction>..) or (?<done>..) and (?<total>..)",
      argument(pattern),
    )
    .addOption(codes("--success <codes>", "exit codes of a success, with commas; default 0"))
    .addOption(
      codes("--retry <codes>", "exit codes after which the task is tried again; so are unlisted ones"),
    )
    .addOption(codes("--permanent <codes>", "exit codes after which the task fails without a retry"))
    .option("--kill-grace <duration>", "time from SIGTERM to SIGKILL; default 5s", argument(parseDuration))
    .option(
      "--memory-limit <mib>",
      "memory of the program in MiB, where a cgroup can be made",
      wholeNumber(1, 1_000_000_000),
    )
    .passThroughOptions()
    .addHelpText(
      "after",
      `
SIGTERM and SIGINT drain the worker. The exit code is 0 after a drain, 1 when the
worker failed.

Examples:
  $ muster worker exec --type video.convert --progress '(?<percent>[0-9]+)%' \\
      -- ffmpeg -i {input.path} {input.target}
  $ muster submit video.convert '{"path":"/in/a.mov","target":"/out/a.webm"}'
  $ muster logs t-1042 -f`,
    )
    .action((argv: string[], options: Options, self: Command) => execWorker(argv, options, self, io));
  addConnectionOptions(command);
}

async function execWorker(argv: readonly string[], options: Options, self: Command, io: Io): Promise<void> {
  // Loaded here: with the worker's side of the SDK it is 100 modules that no other command needs.
  const [{ Worker }, { command }] = await Promise.all([
    import("@muster/worker"),
    import("@muster/worker/command"),
  ]);
  const { connection } = callConfig(self, io.env);
  const { type, success, retry, permanent, killGrace, memoryLimit, progress, result, cwd } = options;
  const handler = command(argv, {
    ...(options.stdin ? { stdin: "input" as const } : {}),
    env: variables(options.env ?? []),
    ...(cwd === undefined ? {} : { cwd }),
    ...(result === undefined ? {} : { result }),
    ...(progress === undefined ? {} : { progress }),
    exitCodes: {
      ...(success === undefined ? {} : { success }),
      ...(retry === undefined ? {} : { retry }),
      ...(permanent === undefined ? {} : { permanent }),
    },
    ...(killGrace === undefined ? {} : { killGraceS: killGrace / 1000 }),
    ...(memoryLimit === undefined ? {} : { memoryLimitBytes: memoryLimit * MIB }),
  });
  const worker = new Worker({
    ...connection,
    tasks: { [type]: handler },
    ...(options.queue === undefined ? {} : { queues: options.queue }),
    ...(options.concurrency === undefined ? {} : { concurrency: options.concurrency }),
    ...(options.workerId === undefined ? {} : { id: options.workerId }),
    ...(options.pool === undefined ? {} : { pool: options.pool }),
    ...(options.label === undefined ? {} : { labels: options.label }),
  });
  await worker.run();
}

const ALWAYS = ["PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR"];

function variables(given: readonly string[]): { pass: string[]; set: Record<string, string> } {
  const pass = [...ALWAYS, ...given.filter((each) => !each.includes("="))];
  const set = given.flatMap((each) => {
    const at = each.indexOf("=");
    return at < 0 ? [] : [[each.slice(0, at), each.slice(at + 1)] as const];
  });
  return { pass, set: Object.fromEntries(set) };
}

function exitCodes(text: string): number[] {
  return text.split(",").map((part) => {
    const code = Number(part);
    if (!/^\s*\d+\s*$/.test(part) || code > 255)
      throw new RangeError(
        `"${part.trim()}" is no exit code from 0 to 255; write them with commas, for example 0,3`,
      );
    return code;
  });
}

function pattern(text: string): RegExp {
  try {
    return new RegExp(text, "u");
  } catch (error) {
    throw new RangeError(
      `"${text}" is no regular expression: ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}
