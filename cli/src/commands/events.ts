import { create } from "@bufbuild/protobuf";
import { Code } from "@connectrpc/connect";
import type { Event, WatchEventsResponse } from "@muster/protocol";
import { EventSchema, ListEventsResponseSchema } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { Command } from "commander";
import { addConnectionOptions } from "../config.ts";
import type { Io } from "../io.ts";
import { writeEvent } from "../output/event-view.ts";
import { writeJson, writeJsonLine } from "../output/json.ts";
import type { Page } from "../paging.ts";
import { takePages } from "../paging.ts";
import { wholeNumber } from "../parse.ts";
import type { Session } from "../session.ts";
import { unlessNotFound, withSession } from "../session.ts";
import type { SubjectKind } from "../subject.ts";
import { candidates, nothingNamed } from "../subject.ts";
import { noteNone } from "./notes.ts";

interface Options {
  readonly follow?: true;
  readonly limit: number;
  readonly json?: true;
}

interface Filter {
  readonly taskId: string;
  readonly workerId: string;
}

const EVERYTHING: Filter = { taskId: "", workerId: "" };
/** Between two dials of a stream that broke; events in between are kept and come then. */
const REDIAL_MS = 1000;

/** How a stream appears whose scheduler was killed in the middle of it; a bug of the scheduler looks the same. */
const CUT_CODES: ReadonlySet<Code> = new Set([
  Code.Aborted,
  Code.Canceled,
  Code.DataLoss,
  Code.Internal,
  Code.Unknown,
]);

/** Ends of that kind in a row, without an event between them, after which it is taken for a bug. */
const MAX_UNEXPLAINED = 5;

const KINDS: readonly SubjectKind[] = ["task", "worker"];

/** `muster events [ID]`: shows what happened. */
export function addEvents(program: Command, io: Io): void {
  const command = program
    .command("events")
    .argument("[id]", "task or worker; task:ID and worker:ID say which")
    .summary("show what happened to a task, a worker or everything")
    .description(
      "Shows recorded events, oldest first: the first of a task or worker, or the latest of everything.",
    )
    .option("-f, --follow", "show the latest, then go on with new ones until Ctrl-C")
    .option("--limit <n>", "at most this many recorded ones", wholeNumber(1, 100_000), 100)
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
  await withSession(command, io, async (session) => {
    const filter = id === undefined ? EVERYTHING : await findFilter(session, id);
    if (options.follow) await follow(session, filter, options, io);
    else await list(session, filter, options, io);
  });
}

async function list(session: Session, filter: Filter, options: Options, io: Io): Promise<void> {
  const page = await firstEvents(session, filter, options.limit);
  const events = oldestFirst(filter, page.items);
  if (options.json) {
    const message = create(ListEventsResponseSchema, { events, nextPageToken: page.nextPageToken });
    writeJson(io.stdout, ListEventsResponseSchema, message);
    return;
  }
  for (const event of events) writeEvent(event, io.stdout);
  if (events.length === 0) noteNone(io, "no events are recorded", "`--follow` shows new ones as they come");
  if (filter !== EVERYTHING && page.nextPageToken !== "") {
    io.stderr.write(
      `${io.stderr.colors.dim(`${events.length} shown, later ones are left out: raise --limit`)}\n`,
    );
  }
}

async function follow(session: Session, filter: Filter, options: Options, io: Io): Promise<void> {
  const show = (event: Event): void => {
    if (options.json) writeJsonLine(io.stdout, EventSchema, event);
    else writeEvent(event, io.stdout);
  };
  const shown = new Set<string>();
  let start = await startOf(session, filter, options.limit);
  for (;;) {
    for (const event of start.events) {
      if (!shown.has(keyOf(event))) show(event);
      shown.add(keyOf(event));
    }
    if (start.place > 0n) break;
    // An empty feed has no place to go on from; what it gets meanwhile is in the next list.
    await io.clock.sleep(REDIAL_MS);
    start = await startOf(session, filter, Infinity);
  }
  const twice = new Set(start.since.map(keyOf));
  let afterEventId = start.place;
  for (let cuts = 0; ; ) {
    const lost = await showStream(
      session.fleet.watchEvents({ ...filter, afterEventId }),
      (event) => {
        cuts = 0;
        if (event.id > afterEventId) afterEventId = event.id;
        if (!twice.delete(keyOf(event))) show(event);
      },
      () => ++cuts <= MAX_UNEXPLAINED,
    );
    if (!options.json) io.stderr.write(`${io.stderr.colors.dim(`${lost}; trying again`)}\n`);
    await io.clock.sleep(REDIAL_MS);
  }
}

/** Where following begins. */
interface Start {
  /** What is recorded, oldest first. */
  readonly events: readonly Event[];
  /** Place in the feed from which the stream goes on; 0 when nothing is in it. */
  readonly place: bigint;
  /** Those of `events` that the stream may bring as well. */
  readonly since: readonly Event[];
}

async function startOf(session: Session, filter: Filter, limit: number): Promise<Start> {
  if (filter === EVERYTHING) {
    const events = oldestFirst(filter, (await firstEvents(session, filter, limit)).items);
    return { events, place: events.at(-1)?.id ?? 0n, since: [] };
  }
  // Events of one subject come oldest first, so that the latest are known only at the end. What comes between
  // the place and the second list is in the stream too; what is in the first list is not.
  const before = new Set((await firstEvents(session, filter, Infinity)).items.map(keyOf));
  const [newest] = (await firstEvents(session, EVERYTHING, 1)).items;
  const { items } = await firstEvents(session, filter, Infinity);
  return {
    events: items.slice(-limit),
    place: newest?.id ?? 0n,
    since: items.filter((event) => !before.has(keyOf(event))),
  };
}

/**
 * What makes an event itself. A task's regular life is read from its row and has no place in the feed then
 * (id 0); each step of it comes once to an attempt.
 */
function keyOf({ id, name, taskId, attemptId }: Event): string {
  const regular = taskId !== "" && (LIFE.has(name) || name.startsWith("requeued:"));
  return regular ? `${name} ${attemptId || taskId}` : `${id} ${name} ${attemptId || taskId}`;
}

const LIFE: ReadonlySet<string> = new Set([
  ...["created", "assigned", "accepted", "started", "succeeded", "failed", "cancelled"],
]);

/**
 * Shows what a stream brings until it is cut; answers why. A verdict of the scheduler is thrown.
 *
 * @param mayBeCut Whether an end without a word, as of a scheduler that was killed, counts as a cut still.
 */
async function showStream(
  stream: AsyncIterable<WatchEventsResponse>,
  show: (event: Event) => void,
  mayBeCut: () => boolean,
): Promise<string> {
  try {
    for await (const { events } of stream) events.forEach(show);
    return "the scheduler ended the stream";
  } catch (error) {
    if (!(error instanceof MusterError)) throw error;
    const wordless = error.reason === "" && CUT_CODES.has(error.code) && mayBeCut();
    if (error.transient || wordless) return `the connection broke: ${error.message}`;
    throw error;
  }
}

function firstEvents({ fleet, call }: Session, filter: Filter, limit: number): Promise<Page<Event>> {
  return takePages(limit, "", async (pageSize, pageToken) => {
    const response = await fleet.listEvents({ ...filter, pageSize, pageToken }, call);
    return { items: response.events, nextPageToken: response.nextPageToken };
  });
}

/** The scheduler lists one subject's events oldest first, and those of everything newest first. */
function oldestFirst(filter: Filter, events: readonly Event[]): Event[] {
  return filter === EVERYTHING ? events.toReversed() : [...events];
}

async function findFilter({ tasks, fleet, call }: Session, text: string): Promise<Filter> {
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
