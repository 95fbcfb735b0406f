/** `muster events [ID]`: shows what happened. */
import { create } from "@bufbuild/protobuf";
import { EventSchema, ListEventsResponseSchema } from "@muster/protocol";
import type { Command } from "commander";
import type { ApiSession } from "../../api/api-session.ts";
import { unlessNotFound, withApiSession } from "../../api/api-session.ts";
import { wholeNumber } from "../../arguments/parse.ts";
import type { SubjectKind } from "../../arguments/subject.ts";
import { candidates, nothingNamed } from "../../arguments/subject.ts";
import { addConnectionOptions } from "../../config.ts";
import type { Filter } from "../../events/filter.ts";
import { EVERYTHING, firstEvents, oldestFirst } from "../../events/filter.ts";
import type { Show } from "../../events/follow.ts";
import { followEvents } from "../../events/follow.ts";
import type { Io } from "../../io/io.ts";
import { hintNone } from "../../output/hints.ts";
import { writeJson, writeJsonLine } from "../../output/json.ts";
import { writeEvent } from "../../output/tasks/event-view.ts";

interface Options {
  readonly follow?: true;
  readonly limit: number;
  readonly json?: true;
}

const KINDS: readonly SubjectKind[] = ["task", "worker"];

export function defineEvents(command: Command, io: Io): void {
  command
    .argument("[id]", "task or worker id; task:ID and worker:ID are unambiguous")
    .description(
      "Shows recorded events, oldest first: the first ones of a task or a worker, or without an id the latest ones of the fleet.",
    )
    .option("-f, --follow", "show the latest, then new ones as they come, until Ctrl-C")
    .option("--limit <n>", "maximum number of recorded events", wholeNumber(1, 100_000), 100)
    .option("--json", "print a ListEventsResponse as JSON; with --follow one Event a line")
    .addHelpText(
      "after",
      `
Piped, each line has: id, time, name, task, attempt, worker, facts; with tabs
between them.

Examples:
  $ muster events t-1042
  $ muster events --follow
  $ muster events gpu-7 --follow --json | jq -r .name`,
    )
    .action((id: string | undefined, options: Options, self: Command) => showEvents(id, options, self, io));
  addConnectionOptions(command);
}

async function showEvents(id: string | undefined, options: Options, command: Command, io: Io): Promise<void> {
  await withApiSession(command, io, async (session) => {
    const filter = id === undefined ? EVERYTHING : await findFilter(session, id);
    if (options.follow) await followEvents(session, filter, options.limit, showOn(io, options), io.clock);
    else await list(session, filter, options, io);
  });
}

async function list(session: ApiSession, filter: Filter, options: Options, io: Io): Promise<void> {
  const page = await firstEvents(session, filter, options.limit);
  const events = oldestFirst(filter, page.items);
  if (options.json) {
    const message = create(ListEventsResponseSchema, { events, nextPageToken: page.nextPageToken });
    writeJson(io.stdout, ListEventsResponseSchema, message);
    return;
  }
  for (const event of events) writeEvent(event, io.stdout);
  if (events.length === 0) hintNone(io, "no events are recorded", "`--follow` shows new ones as they come");
  if (filter !== EVERYTHING && page.nextPageToken !== "") {
    io.stderr.write(
      `${io.stderr.colors.dim(`${events.length} shown, later ones are omitted: raise --limit`)}\n`,
    );
  }
}

function showOn(io: Io, { json }: Options): Show {
  return {
    event(event) {
      if (json) writeJsonLine(io.stdout, EventSchema, event);
      else writeEvent(event, io.stdout);
    },
    outage(why) {
      if (!json) io.stderr.write(`${io.stderr.colors.dim(`${why}; retrying`)}\n`);
    },
  };
}

async function findFilter({ tasks, fleet, call }: ApiSession, text: string): Promise<Filter> {
  for (const { kind, id } of candidates(text, KINDS)) {
    const found =
      kind === "task"
        ? await unlessNotFound(tasks.getTask({ taskId: id }, call))
        : await unlessNotFound(fleet.getWorker({ workerId: id }, call));
    if (found !== undefined)
      return kind === "task" ? { taskId: id, workerId: "" } : { taskId: "", workerId: id };
  }
  throw nothingNamed(text, KINDS);
}
