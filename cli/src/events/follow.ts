import type { Event } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { Session } from "../api/api-session.ts";
import type { Clock } from "../clock.ts";
import type { Filter } from "./filter.ts";
import { EVERYTHING, firstEvents, inOrder, oldestFirst } from "./filter.ts";
import { Outages } from "./outages.ts";

/** Between two looks at an empty feed, and before a call or stream that broke; what happens meanwhile comes then. */
const AGAIN_MS = 1000;

/** Where events go, and the words on why none come. */
export interface Show {
  event(event: Event): void;
  outage(why: string): void;
}

/**
 * Shows the latest `limit` events, then every new one, for as long as the process lives. A scheduler that
 * goes away is waited for, once it has been reached; nothing is lost and nothing shown twice.
 *
 * @throws MusterError when the scheduler cannot be reached at first, or refuses.
 */
export async function followEvents(
  session: Session,
  filter: Filter,
  limit: number,
  show: Show,
  clock: Clock,
): Promise<never> {
  await firstEvents(session, EVERYTHING, 1);
  const outages = new Outages();

  /** Does it until it is done, across outages. */
  async function untilDone<T>(what: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        const done = await what();
        outages.over();
        return done;
      } catch (error) {
        show.outage(outages.explain(error));
        await clock.sleep(AGAIN_MS);
      }
    }
  }

  const shown = new Set<string>();
  let start = await untilDone(() => startOf(session, filter, limit));
  for (;;) {
    for (const event of start.events) {
      if (!shown.has(keyOf(event))) show.event(event);
      shown.add(keyOf(event));
    }
    for (const event of start.older) shown.add(keyOf(event));
    if (start.place > 0n) break;
    // An empty feed has no place to go on from; what it gets meanwhile is in the next list.
    await clock.sleep(AGAIN_MS);
    start = await untilDone(() => startOf(session, filter, Infinity));
  }

  // A task's regular life is in its record, and only parts of it in the feed: each change is a reason to read it.
  const showLife = async (): Promise<void> => {
    const { items } = await firstEvents(session, filter, Infinity);
    for (const event of oldestFirst(filter, items)) {
      if (shown.has(keyOf(event))) continue;
      shown.add(keyOf(event));
      show.event(event);
    }
  };
  if (filter.taskId !== "")
    return followLife(session, filter, start.place, { showLife, untilDone, outages, show, clock });

  const twice = new Set(start.since.map(keyOf));
  let afterEventId = start.place;
  for (;;) {
    await untilDone(async () => {
      for await (const { events } of session.fleet.watchEvents({ ...filter, afterEventId })) {
        outages.over();
        for (const event of inOrder(events)) {
          if (event.id > afterEventId) afterEventId = event.id;
          if (!twice.delete(keyOf(event))) show.event(event);
        }
      }
    });
    show.outage("the scheduler ended the stream");
    await clock.sleep(AGAIN_MS);
  }
}

/** What following a task's life needs of the follower. */
interface LifeParts {
  /** Shows what is in the record and was not shown yet, in order. */
  readonly showLife: () => Promise<void>;
  readonly untilDone: <T>(what: () => Promise<T>) => Promise<T>;
  readonly outages: Outages;
  readonly show: Show;
  readonly clock: Clock;
}

/** A step that is in the record alone comes within this after one that is in the feed, or with the next one. */
const LIFE_MS = 1000;

/** Shows a task's record: reads it at each change in the feed, and again a second later. */
async function followLife(
  session: Session,
  filter: Filter,
  place: bigint,
  { showLife, untilDone, outages, show, clock }: LifeParts,
): Promise<never> {
  let afterEventId = place;
  const later = (): void => {
    showLife().catch((error: unknown) => {
      // The stream, or the next change, meets the same trouble and says it.
      if (!(error instanceof MusterError)) throw error;
    });
  };
  for (;;) {
    await untilDone(async () => {
      await showLife();
      for await (const { events } of session.fleet.watchEvents({ ...filter, afterEventId })) {
        outages.over();
        for (const { id } of events) if (id > afterEventId) afterEventId = id;
        if (events.length === 0) continue;
        await showLife();
        clock.after(LIFE_MS, later);
      }
    });
    show.outage("the scheduler ended the stream");
    await clock.sleep(AGAIN_MS);
  }
}

/** Where following begins. */
interface Start {
  /** What is recorded, oldest first. */
  readonly events: readonly Event[];
  /** What is recorded as well, and older than what was asked for. */
  readonly older: readonly Event[];
  /** Place in the feed from which the stream goes on; 0 when nothing is in it. */
  readonly place: bigint;
  /** Those of `events` that the stream may bring as well. */
  readonly since: readonly Event[];
}

async function startOf(session: Session, filter: Filter, limit: number): Promise<Start> {
  if (filter === EVERYTHING) {
    const events = oldestFirst(filter, (await firstEvents(session, filter, limit)).items);
    return { events, older: [], place: latestId(events), since: [] };
  }
  // Events of one subject come oldest first, so that the latest are known only at the end. What comes between
  // the place and the second list is in the stream too; what is in the first list is not.
  const before = new Set((await firstEvents(session, filter, Infinity)).items.map(keyOf));
  const [newest] = (await firstEvents(session, EVERYTHING, 1)).items;
  const { items } = await firstEvents(session, filter, Infinity);
  const ordered = oldestFirst(filter, items);
  return {
    events: ordered.slice(-limit),
    older: ordered.slice(0, -limit),
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

/** The feed's place after these: they are in the order of their times, which is not quite that of the feed. */
function latestId(events: readonly Event[]): bigint {
  return events.reduce((latest, { id }) => (id > latest ? id : latest), 0n);
}
