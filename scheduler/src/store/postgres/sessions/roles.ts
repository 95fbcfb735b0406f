/** The roles of the store that this folder implements: sessions and launches. */
import type { LaunchStore } from "../../launches.ts";
import type { SessionStore } from "../../sessions.ts";
import type { Database } from "../connection/database.ts";
import { leaseHolders, listLaunches, waitingLaunches } from "../fleet/fleet.ts";
import { listContests } from "./contests.ts";
import { openStops, requestStop } from "./launch-stops.ts";
import {
  addRequeued,
  earlierStarts,
  endLaunch,
  giveUpLaunches,
  reportLaunches,
  servedBefore,
} from "./launches.ts";
import { disconnect, renewLeases, shortenLeases, supersededOf } from "./leases.ts";
import { pausedWorkers, pauseWorker, resumeWorker } from "./pauses.ts";
import { openSessions, recordStartup } from "./registration.ts";
import { forgetRejectedWorkers, listRejectedWorkers, recordRejectedWorkers } from "./rejected-workers.ts";
import { runningBuilds } from "./running-builds.ts";
import { endSessions, observeExpired, reapSessions } from "./termination.ts";
import { defaultAddressed } from "./worker-settings.ts";

export function sessionStore(db: Database): SessionStore {
  return {
    openSessions: (opens, schedulerId, leaseMs) => openSessions(db, opens, schedulerId, leaseMs),
    recordStartup: (id, phases, ready, draining) => recordStartup(db, id, phases, ready, draining),
    supersededOf: (sessionIds) => supersededOf(db, sessionIds),
    shortenLeases: (leaseMs) => shortenLeases(db, leaseMs),
    renewLeases: (heartbeats, schedulerId, leaseMs) => renewLeases(db, heartbeats, schedulerId, leaseMs),
    disconnect: (id, schedulerId) => disconnect(db, id, schedulerId),
    endSessions: (ends, decide) => endSessions(db, ends, decide),
    reapSessions: (expired, limit, decide) => reapSessions(db, expired, limit, decide),
    observeExpired: (expired, limit) => observeExpired(db, expired, limit),
    leaseHolders: (ids) => leaseHolders(db, ids),
    pausedWorkers: () => pausedWorkers(db),
    pauseWorker: (workerId, reason) => pauseWorker(db, workerId, reason),
    resumeWorker: (workerId, reason) => resumeWorker(db, workerId, reason),
    runningBuilds: (queues) => runningBuilds(db, queues),
    listContests: (options) => listContests(db, options),
    defaultAddressed: (limit) => defaultAddressed(db, limit),
    recordRejectedWorkers: (rejected, schedulerId, keep) =>
      recordRejectedWorkers(db, rejected, schedulerId, keep),
    forgetRejectedWorkers: (workers) => forgetRejectedWorkers(db, workers),
    listRejectedWorkers: (workerId) => listRejectedWorkers(db, workerId),
  };
}

export function launchStore(db: Database): LaunchStore {
  return {
    reportLaunches: (reports) => reportLaunches(db, reports),
    requestStop: (launchId, request) => requestStop(db, launchId, request),
    openStops: () => openStops(db),
    endLaunch: (exit) => endLaunch(db, exit),
    addRequeued: (launchId, count) => addRequeued(db, launchId, count),
    giveUpLaunches: (asOf, silentMs, limit) => giveUpLaunches(db, asOf, silentMs, limit),
    waitingLaunches: (limit) => waitingLaunches(db, limit),
    listLaunches: (filter) => listLaunches(db, filter),
    earlierStarts: (workers) => earlierStarts(db, workers),
    servedBefore: (launches) => servedBefore(db, launches),
  };
}
