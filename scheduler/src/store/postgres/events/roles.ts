/** The role of the store that this folder implements: events. */
import type { EventStore } from "../../events.ts";
import type { Database } from "../connection/database.ts";
import {
  appendEvents,
  costRaises,
  eventsAfter,
  lastEventId,
  lastWorkerEvent,
  latestTaskEvents,
  recentEvents,
  taskEvents,
  workerEvents,
} from "./events.ts";

export function eventStore(db: Database): EventStore {
  return {
    appendEvents: (events) => appendEvents(db, events),
    taskEvents: (id, limit) => taskEvents(db, id, limit),
    latestTaskEvents: (id, limit) => latestTaskEvents(db, id, limit),
    costRaises: (id, limit) => costRaises(db, id, limit),
    workerEvents: (id, afterId, limit) => workerEvents(db, id, afterId, limit),
    lastWorkerEvent: (id, sessionId, names) => lastWorkerEvent(db, id, sessionId, names),
    recentEvents: (beforeId, limit) => recentEvents(db, beforeId, limit),
    eventsAfter: (afterId, limit) => eventsAfter(db, afterId, limit),
    lastEventId: () => lastEventId(db),
  };
}
