/** `muster stack`: shows where handlers are. */
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import { parseDuration } from "@muster/common/duration";
import { GetStackResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import { unlessNotFound, withApiSession } from "../../api/api-session.ts";
import { argument } from "../../arguments/parse.ts";
import { candidates, nothingNamed, type SubjectKind } from "../../arguments/subject.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { writeStack } from "../../output/fleet/stack-view.ts";
import { writeJson } from "../../output/json.ts";

const KINDS: readonly SubjectKind[] = ["task", "worker"];

/** As the scheduler's default. */
const WITHIN_MS = 10_000;

/** The scheduler's own answer, that the worker has not answered, comes before the call gives up. */
const MARGIN_MS = 5_000;

interface Options {
  readonly within?: number;
  readonly json?: true;
}

/** `muster stack ID`: asks the worker of a task, or a worker, where its handlers are. */
export function defineStack(command: Command, io: Io): void {
  command
    .argument("<id>", "task or worker; task:ID and worker:ID are unambiguous")
    .description(
      "Asks the worker where its handlers are now: the stack of its main thread while that is blocked, the stacks of isolated handlers, and what the system says of the processes that it has started.",
    )
    .option(
      "--within <duration>",
      "how long to wait for the worker's answer, at most 30s; default: 10s",
      argument(parseDuration),
    )
    .option("--json", "print the GetStackResponse as JSON")
    .addHelpText(
      "after",
      `
A handler that awaits something has no stack: its phase is shown.

Examples:
  $ muster stack t-1042
  $ muster stack gpu-7 --within 2s
  $ muster stack gpu-7 --json | jq -r '.stack.mainFrames[0]'`,
    )
    .action((id: string, options: Options, self: Command) => showStack(id, options, self, io));
  addConnectionOptions(command);
}

async function showStack(text: string, options: Options, command: Command, io: Io): Promise<void> {
  const withinMs = options.within ?? WITHIN_MS;
  const answer = await withApiSession(command, io, async ({ fleet, call }) => {
    const timeoutMs = Math.max(call.timeoutMs ?? 0, withinMs + MARGIN_MS);
    for (const { kind, id } of candidates(text, KINDS)) {
      const subject = kind === "task" ? { taskId: id } : { workerId: id };
      const found = await unlessNotFound(
        fleet.getStack({ ...subject, timeout: durationFromMs(withinMs) }, { ...call, timeoutMs }),
      );
      if (found !== undefined) return found;
    }
    throw nothingNamed(text, KINDS);
  });
  if (options.json) writeJson(io.stdout, GetStackResponseSchema, answer);
  else writeStack(answer, io);
}
