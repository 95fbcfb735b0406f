/** Filters of `muster events`. */
import { timestampMs } from "@bufbuild/protobuf/wkt";
import type { Event } from "@muster/protocol";
import type { ApiSession } from "../api/api-session.ts";
import type { Page } from "../api/paging.ts";
import { takePages } from "../api/paging.ts";

/** The subject of events; an empty id matches all. */
export interface Filter {
  readonly taskId: string;
  readonly workerId: string;
}

export const EVERYTHING: Filter = { taskId: "", workerId: "" };

/** The first events that the scheduler lists for the filter, in its order. */
export function firstEvents(
  { fleet, call }: ApiSession,
  filter: Filter,
  limit: number,
): Promise<Page<Event>> {
  return takePages(limit, "", async (pageSize, pageToken) => {
    const response = await fleet.listEvents({ ...filter, pageSize, pageToken }, call);
    return { items: response.events, nextPageToken: response.nextPageToken };
  });
}

/**
 * Events by time. The scheduler lists one subject's events oldest first and those of the fleet newest first, in the order
 * of their recording. A worker's events are recorded in batches, so their times are slightly out of order.
 */
export function oldestFirst(filter: Filter, events: readonly Event[]): Event[] {
  return inOrder(filter === EVERYTHING ? events.toReversed() : events);
}

/** Events by time; events of the same time keep their order. */
export function inOrder(events: readonly Event[]): Event[] {
  return events.toSorted((a, b) => timeOf(a) - timeOf(b));
}

function timeOf({ time }: Event): number {
  return time === undefined ? 0 : timestampMs(time);
}
