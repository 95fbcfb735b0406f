/** Follows the event feed across outages. */
import type { Event } from "@muster/protocol";
import { MusterError } from "@muster/worker/client";
import type { ApiSession } from "../api/api-session.ts";
import type { Clock } from "../clock.ts";
import type { Filter } from "./filter.ts";
import { EVERYTHING, firstEvents, inOrder, oldestFirst } from "./filter.ts";
import { Outages } from "./outages.ts";

/** Delay before the next read of an empty feed, and before a retry. */
const AGAIN_MS = 1000;

/** Receives the events and the reasons of outages. */
export interface Show {
  event(event: Event): void;
  outage(why: string): void;
}

/**
 * Shows the latest `limit` events, then every new one, until the process ends. After the first answer it retries during
 * outages. No event is lost or shown twice.
 *
 * @throws MusterError when the scheduler cannot be reached at first, or refuses.
 */
export async function followEvents(
  session: ApiSession,
  filter: Filter,
  limit: number,
  show: Show,
  clock: Clock,
): Promise<never> {
  await firstEvents(session, EVERYTHING, 1);
  const outages = new Outages();

  /** Retries across outages. */
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
    // An empty feed has no position to continue from; new events are in the next list.
    await clock.sleep(AGAIN_MS);
    start = await untilDone(() => startOf(session, filter, Infinity));
  }

  // The regular events of a task come from its record and only partly from the feed: each event in the feed
  // triggers a read of the record.
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

/** The parts of the follower that `followLife` uses. */
interface LifeParts {
  /** Shows the events of the record that were not shown yet, in order. */
  readonly showLife: () => Promise<void>;
  readonly untilDone: <T>(what: () => Promise<T>) => Promise<T>;
  readonly outages: Outages;
  readonly show: Show;
  readonly clock: Clock;
}

/** Delay of the second read after an event in the feed: some events are only in the record. */
const LIFE_MS = 1000;

/** Shows a task's record: reads it at each change in the feed, and again a second later. */
async function followLife(
  session: ApiSession,
  filter: Filter,
  place: bigint,
  { showLife, untilDone, outages, show, clock }: LifeParts,
): Promise<never> {
  let afterEventId = place;
  const later = (): void => {
    showLife().catch((error: unknown) => {
      // The stream, or the next read, reports the same error.
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

/** The start position of following. */
interface Start {
  /** Recorded events, oldest first. */
  readonly events: readonly Event[];
  /** Recorded events that are older than the requested ones. */
  readonly older: readonly Event[];
  /** Position in the feed from which the stream continues; 0 when the feed is empty. */
  readonly place: bigint;
  /** Those of `events` that the stream may repeat. */
  readonly since: readonly Event[];
}

async function startOf(session: ApiSession, filter: Filter, limit: number): Promise<Start> {
  if (filter === EVERYTHING) {
    const events = oldestFirst(filter, (await firstEvents(session, filter, limit)).items);
    return { events, older: [], place: latestId(events), since: [] };
  }
  // Events of one subject come oldest first, so the latest are known only at the end. Events between the position
  // and the second list are in the stream, too; events of the first list are not.
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
 * The identity of an event. The regular events of a task are read from its row and have no position in the feed
 * (id 0); each of them occurs once for an attempt.
 */
function keyOf({ id, name, taskId, attemptId }: Event): string {
  const regular = taskId !== "" && (LIFE.has(name) || name.startsWith("requeued:"));
  return regular ? `${name} ${attemptId || taskId}` : `${id} ${name} ${attemptId || taskId}`;
}

const LIFE: ReadonlySet<string> = new Set([
  ...["created", "assigned", "accepted", "started", "succeeded", "failed", "cancelled"],
]);

/** The highest position of these events, which are in the order of their times, not of the feed. */
function latestId(events: readonly Event[]): bigint {
  return events.reduce((latest, { id }) => (id > latest ? id : latest), 0n);
}
