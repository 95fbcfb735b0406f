/** The roles of the store that this folder implements: schedulers, queues, fairness keys and the fleet. */
import type { FairnessStore } from "../../fairness.ts";
import type { FleetStore } from "../../fleet.ts";
import type { QueueStore } from "../../queues.ts";
import type { SchedulerStore } from "../../schedulers.ts";
import type { Database } from "../connection/database.ts";
import { notify } from "../events/notify.ts";
import { fairnessWeights, listFairnessKeys, setFairnessWeight } from "./fairness.ts";
import { getWorker, listWorkers } from "./fleet.ts";
import { heldUse } from "./held-use.ts";
import { listSchedulers } from "./inspect.ts";
import { knownSizes } from "./known-sizes.ts";
import { fleetCounts, stuckAttempts, workerUse } from "./monitor.ts";
import { fleetReport } from "./overview.ts";
import {
  configureQueue,
  depths,
  getQueue,
  limitedQueues,
  listQueues,
  pausedQueues,
  queueDepths,
  queueSettings,
  queueWeights,
  setQueueLimit,
  setQueuePaused,
  setQueueWeight,
} from "./queues.ts";
import {
  announce,
  forgetDead,
  lead,
  otherSchedulers,
  retire,
  sendCommand,
  takeCommands,
} from "./schedulers.ts";
import { countWorkers } from "./worker-counts.ts";

/** @param listen Listens for hints on a connection of its own. */
export function schedulerStore(db: Database, listen: SchedulerStore["listen"]): SchedulerStore {
  return {
    announce: (scheduler, leaseMs) => announce(db, scheduler, leaseMs),
    otherSchedulers: async (selfId) => {
      await forgetDead(db);
      return otherSchedulers(db, selfId);
    },
    listSchedulers: () => listSchedulers(db),
    retire: (id) => retire(db, id),
    lead: (name, id, leaseMs) => lead(db, name, id, leaseMs),
    sendCommand: (id, command) => sendCommand(db, id, command),
    takeCommands: (id) => takeCommands(db, id),
    notify: (hint) => notify(db, hint),
    listen,
  };
}

export function queueStore(db: Database): QueueStore {
  return {
    listQueues: () => listQueues(db),
    getQueue: (name) => getQueue(db, name),
    pausedQueues: () => pausedQueues(db),
    setQueuePaused: (name, reason) => setQueuePaused(db, name, reason),
    limitedQueues: () => limitedQueues(db),
    setQueueLimit: (name, max, reason) => setQueueLimit(db, name, max, reason),
    queueWeights: () => queueWeights(db),
    setQueueWeight: (name, weight, reason) => setQueueWeight(db, name, weight, reason),
    queueSettings: () => queueSettings(db),
    configureQueue: (name, change) => configureQueue(db, name, change),
    queueDepths: (filter) => queueDepths(db, filter),
    depths: () => depths(db),
  };
}

export function fairnessStore(db: Database): FairnessStore {
  return {
    fairnessWeights: () => fairnessWeights(db),
    setFairnessWeight: (queue, key, set) => setFairnessWeight(db, queue, key, set),
    listFairnessKeys: (filter) => listFairnessKeys(db, filter),
  };
}

export function fleetStore(db: Database): FleetStore {
  return {
    listWorkers: (filter) => listWorkers(db, filter),
    getWorker: (id) => getWorker(db, id),
    countWorkers: () => countWorkers(db),
    heldUse: (sessionIds) => heldUse(db, sessionIds),
    fleetCounts: () => fleetCounts(db),
    stuckAttempts: (limit) => stuckAttempts(db, limit),
    workerUse: (limit) => workerUse(db, limit),
    fleetReport: (limit) => fleetReport(db, limit),
    knownSizes: (taskClass) => knownSizes(db, taskClass),
  };
}
