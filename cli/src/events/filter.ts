import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event } from "@muster/protocol";
import type { Session } from "../api/api-session.ts";
import type { Page } from "../api/paging.ts";
import { takePages } from "../api/paging.ts";

/** Whose events; an empty id stands for any. */
export interface Filter {
  readonly taskId: string;
  readonly workerId: string;
}

export const EVERYTHING: Filter = { taskId: "", workerId: "" };

/** The first events that the scheduler lists for the filter, in its order. */
export function firstEvents({ fleet, call }: Session, filter: Filter, limit: number): Promise<Page<Event>> {
  return takePages(limit, "", async (pageSize, pageToken) => {
    const response = await fleet.listEvents({ ...filter, pageSize, pageToken }, call);
    return { items: response.events, nextPageToken: response.nextPageToken };
  });
}

/**
 * The scheduler lists one subject's events oldest first, and those of everything newest first. It lists them as they
 * were recorded, a worker's in batches, so that times are out of order by a moment; here they are in order.
 */
export function oldestFirst(filter: Filter, events: readonly Event[]): Event[] {
  return inOrder(filter === EVERYTHING ? events.toReversed() : events);
}

/** Events by their time; those of the same moment stay as they were. */
export function inOrder(events: readonly Event[]): Event[] {
  return events.toSorted((a, b) => timeOf(a) - timeOf(b));
}

function timeOf({ time }: Event): number {
  return time === undefined ? 0 : timestampMs(time);
}
