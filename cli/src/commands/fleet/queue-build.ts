/** `muster queue build`: which builds the tasks of a queue run on. */
import { QueueSchema, QueueSetting } from "@muster/protocol";
import { type Command, Option } from "commander";
import { present, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { addConnectionOptions } from "../../config.ts";
import { CliError } from "../../errors.ts";
import { ExitCode } from "../../exit-codes.ts";
import type { Io } from "../../io/io.ts";
import { signed } from "../../io/requester.ts";
import { writeJson } from "../../output/json.ts";
import { buildRuleText } from "../../output/words/queue-settings-text.ts";

interface Ramp {
  readonly buildId: string;
  readonly share: number;
}

interface Options {
  readonly pin?: string;
  readonly ramp?: Ramp;
  readonly clear?: true;
  readonly reason?: string;
  readonly json?: true;
}

/** Adds the command to `muster queue`. */
export function defineQueueBuild(command: Command, io: Io): void {
  command
    .argument("<name>", "queue name; a queue that does not exist is created")
    .description(
      "Binds the tasks of a queue to a build of the workers (MUSTER_BUILD_ID), or a share of them. A new rule replaces the one before.",
    )
    .option("--pin <build>", "run the tasks on this build only, and let them wait while it does not run")
    .addOption(
      new Option(
        "--ramp <build=share>",
        "run this share of the tasks on the build, for example 13=10%",
      ).argParser(argument(parseRamp)),
    )
    .addOption(
      new Option("--clear", "remove the rule: every build may run the tasks").conflicts(["pin", "ramp"]),
    )
    .option("--reason <text>", "reason to record; your user name is added")
    .option("--json", "print the Queue as JSON")
    .addHelpText(
      "after",
      `
Which tasks belong to a ramp depends on their ids: a task keeps its build for all its
attempts, and while the share grows. While the build does not run, its share runs on
the others. \`muster workers\` shows the builds, \`muster task ID\` that of each attempt.

Examples:
  $ muster queue build ocr --ramp 13=10% --reason "release 13"
  $ muster queue build ocr --pin 12 --ramp 13=10%
  $ muster queue build ocr --pin 13
  $ muster queue build ocr --clear`,
    )
    .action((name: string, options: Options, self: Command) => setBuilds(name, options, self, io));
  addConnectionOptions(command);
}

async function setBuilds(name: string, options: Options, command: Command, io: Io): Promise<void> {
  const { pin, ramp, clear } = options;
  if (pin === undefined && ramp === undefined && !clear)
    throw new CliError("give --pin, --ramp or both, or --clear", { exitCode: ExitCode.USAGE });
  const change = clear
    ? { cleared: [QueueSetting.BUILD_RULE] }
    : { settings: { buildRule: { pinnedBuildId: pin ?? "", ...(ramp ? { ramp } : {}) } } };
  const queue = await withApiSession(command, io, async ({ fleet, call }) =>
    present(
      (await fleet.configureQueue({ queue: name, ...change, reason: signed(options.reason) }, call)).queue,
      "a queue",
    ),
  );
  if (options.json) return writeJson(io.stdout, QueueSchema, queue);
  const rule = queue.settings?.buildRule;
  io.stdout.write(`${queue.name} runs its tasks on ${rule ? buildRuleText(rule) : "any build"}\n`);
}

/** `13=10%`: the build and its share. @throws RangeError */
function parseRamp(text: string): Ramp {
  const [, buildId = "", percent = ""] = /^(.+)=(\d+(?:\.\d+)?)%$/.exec(text) ?? [];
  const share = Number(percent) / 100;
  if (buildId !== "" && share > 0 && share < 1) return { buildId, share };
  throw new RangeError(
    `${JSON.stringify(text)} is no build with a share above 0 and below 100 %, for example 13=10%`,
  );
}
