/** `muster why ID`: explains the state of a task, worker, queue, schedule or pool. */
import type { Explanation } from "@muster/protocol";
import { ExplanationSchema } from "@muster/protocol";
import type { Command } from "commander";
import type { ApiSession } from "../../api/api-session.ts";
import { present, unlessNotFound, unlessUnknown, withApiSession } from "../../api/api-session.ts";
import type { Subject, SubjectKind } from "../../arguments/subject.ts";
import { candidates, nothingNamed } from "../../arguments/subject.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Io } from "../../io/io.ts";
import { writeJson } from "../../output/json.ts";
import { writeExplanation } from "../../output/tasks/explanation-view.ts";

interface Options {
  readonly json?: true;
}

const KINDS: readonly SubjectKind[] = ["task", "worker", "queue", "schedule", "pool"];

export function defineWhy(command: Command, io: Io): void {
  command
    .argument(
      "<id>",
      "task, worker, queue, schedule or pool; task:ID, worker:ID, queue:NAME, schedule:NAME and pool:NAME are unambiguous",
    )
    .description(
      "Explains the state of a task, worker, queue, schedule or pool: each reason with its evidence and its remedy, the most important reason first.",
    )
    .option("--json", "print the Explanation as JSON")
    .addHelpText(
      "after",
      `
A bare id is looked up among tasks, then workers, queues,
schedules and pools.

Examples:
  $ muster why t-1042
  $ muster why queue:default
  $ muster why schedule:nightly-report
  $ muster why pool:gpu
  $ muster why gpu-7 --json | jq -r '.reasons[0].code'`,
    )
    .action((id: string, options: Options, self: Command) => explain(id, options, self, io));
  addConnectionOptions(command);
}

async function explain(text: string, options: Options, command: Command, io: Io): Promise<void> {
  const explanation = await withApiSession(command, io, async (session) => {
    for (const subject of candidates(text, KINDS)) {
      const answer = ask(session, subject);
      const found = await (subject.kind === "schedule" || subject.kind === "pool"
        ? unlessUnknown(answer)
        : unlessNotFound(answer));
      if (found !== undefined) return found;
    }
    throw nothingNamed(text, KINDS);
  });
  if (options.json) writeJson(io.stdout, ExplanationSchema, explanation);
  else writeExplanation(explanation, io);
}

async function ask(
  { client, tasks, fleet, schedules, call }: ApiSession,
  { kind, id }: Subject,
): Promise<Explanation> {
  switch (kind) {
    case "task":
      return present((await tasks.explainTask({ taskId: id }, call)).explanation, "an explanation");
    case "worker":
      return present((await fleet.explainWorker({ workerId: id }, call)).explanation, "an explanation");
    case "queue":
      return present((await fleet.explainQueue({ queue: id }, call)).explanation, "an explanation");
    case "schedule":
      return present((await schedules.explainSchedule({ name: id }, call)).explanation, "an explanation");
    case "pool":
      return present((await client.pools.explainPool({ name: id }, call)).explanation, "an explanation");
    default: {
      const unknown: never = kind;
      throw new TypeError(`unknown kind ${String(unknown)}`);
    }
  }
}
