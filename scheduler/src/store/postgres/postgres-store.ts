import { type Clock, holding, systemClock } from "../../clock.ts";
import type { DatabaseMeasures } from "../../telemetry/metrics/database-measures.ts";
import type { Hint, Store } from "../store.ts";
import { ConnectionTarget } from "./connection/connection.ts";
import { Database } from "./connection/database.ts";
import { openSession } from "./connection/open-session.ts";
import { Probe } from "./connection/probe.ts";
import {
  appendEvents,
  eventsAfter,
  lastEventId,
  lastWorkerEvent,
  latestTaskEvents,
  recentEvents,
  taskEvents,
  workerEvents,
} from "./events/events.ts";
import { Listener } from "./events/notify.ts";
import { getWorker, leaseHolders, listLaunches, listWorkers, waitingLaunches } from "./fleet/fleet.ts";
import { inspectDatabase, listSchedulers } from "./fleet/inspect.ts";
import { foreignLock } from "./fleet/lock-waits.ts";
import { fleetCounts, stuckAttempts } from "./fleet/monitor.ts";
import { fleetReport } from "./fleet/overview.ts";
import { depths, getQueue, listQueues, pausedQueues, queueDepths, setQueuePaused } from "./fleet/queues.ts";
import {
  announce,
  forgetDead,
  lead,
  otherSchedulers,
  retire,
  sendCommand,
  takeCommands,
} from "./fleet/schedulers.ts";
import { countWorkers } from "./fleet/worker-counts.ts";
import { loadMigrations, type MigrationOptions, type MigrationReport, migrate } from "./schema/migrate.ts";
import { dropOld, ensurePartitions } from "./schema/retention.ts";
import { missingMigrations } from "./schema/schema-check.ts";
import { listContests } from "./sessions/contests.ts";
import { addRequeued, endLaunch, giveUpLaunches, reportLaunches, servedBefore } from "./sessions/launches.ts";
import {
  forgetRejectedWorkers,
  listRejectedWorkers,
  recordRejectedWorkers,
} from "./sessions/rejected-workers.ts";
import {
  disconnect,
  endSessions,
  openSessions,
  reapSessions,
  recordStartup,
  renewLeases,
} from "./sessions/sessions.ts";
import { assignedTo, claim, countWaiting, retake, touch, waitingTasks, wakeDue } from "./tasks/claim.ts";
import { classesAfter, classesById, openClasses, openClassIds, resolveClasses } from "./tasks/classes.ts";
import { commitResults } from "./tasks/commit.ts";
import { appendOutput, changedTasks, outputAfter } from "./tasks/output.ts";
import {
  cancelTask,
  committedResults,
  countedAttempts,
  failOverdue,
  followedTask,
  getTask,
  listTasks,
  retryTask,
} from "./tasks/read.ts";
import { insertTasks } from "./tasks/submit.ts";
import { attemptFacts } from "./tasks/trace.ts";

/** What the store needs to know. */
export interface PostgresStoreOptions {
  readonly url: string;
  /** Where the variables of libpq are looked up (`PGSSLMODE` and so on); nowhere by default. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /** Shown in `pg_stat_activity`. */
  readonly applicationName: string;
  /** The most connections that are opened, 28 by default; at least `LEAST_CONNECTIONS`. */
  readonly connections?: number;
  /** How long reads and fenced writes are tried again, milliseconds; 1,500 by default: callers are told within two seconds. */
  readonly retryForMs?: number;
  readonly clock?: Clock;
  /** Called with errors of idle and listening connections. */
  readonly onConnectionError: (error: Error) => void;
  /** Told of what the store does with the database. */
  readonly measures?: DatabaseMeasures;
}

// Three lanes keep Postgres busy while two batches are decoded; more only add locks to wait for.
const HOT_CONNECTIONS = 3;
/** One listens. */
const LISTENERS = 1;
/**
 * Leaves more for the cold pool than there are loops: when each of them waits for a locked table, `muster doctor` can
 * still look at who locks it. They are opened as they are needed.
 */
const MOST_CONNECTIONS = 28;

/**
 * Applies what is missing of the schema, and makes ids go on elsewhere when the database is a copy of another.
 *
 * @param options.env Where the variables of libpq are looked up; nowhere by default.
 * @throws SchemaMismatchError, MissingRightsError, SharedSessionError, DatabaseUrlError, DatabaseUnavailableError.
 */
export async function migrateDatabase(
  url: string,
  options: MigrationOptions & { readonly env?: Readonly<Record<string, string | undefined>> } = {},
): Promise<MigrationReport> {
  const target = new ConnectionTarget(url, options.env);
  return holding(async () => migrate(target, await loadMigrations(), options));
}

/** Opens the store. Connections are made when needed; the schema must be there. */
export function openPostgresStore(options: PostgresStoreOptions): Store {
  const clock = options.clock ?? systemClock;
  const target = new ConnectionTarget(options.url, options.env);
  const db = new Database(
    {
      target,
      applicationName: options.applicationName,
      hotConnections: HOT_CONNECTIONS,
      coldConnections: (options.connections ?? MOST_CONNECTIONS) - HOT_CONNECTIONS - LISTENERS,
      retryForMs: options.retryForMs ?? 1_500,
    },
    clock,
    options.onConnectionError,
    options.measures,
  );
  const probe = new Probe(db, clock);
  const listener = new Listener(
    (signal) => openSession(target, options.applicationName, "listen", { signal }),
    clock,
  );
  db.onRenewed(() => void listener.renew().catch(options.onConnectionError));

  return {
    resolveClasses: (wanted) => resolveClasses(db, wanted),
    classesAfter: (id) => classesAfter(db, id),
    classesById: (ids) => classesById(db, ids),
    openClasses: () => openClasses(db),
    openClassIds: () => openClassIds(db),
    insertTasks: (tasks, schedulerId) => insertTasks(db, tasks, schedulerId),
    waitingTasks: (classIds, limit, floors) => waitingTasks(db, classIds, limit, floors),
    countWaiting: (classIds, limit) => countWaiting(db, classIds, limit),
    claim: (wanted, schedulerId) => claim(db, wanted, schedulerId),
    retake: (key, sessionId) => retake(db, key, sessionId),
    assignedTo: (sessionIds) => assignedTo(db, sessionIds),
    touch: (touches) => touch(db, touches),
    commitResults: (requests) => commitResults(db, requests),
    appendEvents: (events) => appendEvents(db, events),
    appendOutput: (chunks) => appendOutput(db, chunks),
    wakeDue: (limit) => wakeDue(db, limit),
    failOverdue: (limit) => failOverdue(db, limit),

    openSessions: (opens, schedulerId, leaseMs) => openSessions(db, opens, schedulerId, leaseMs),
    recordStartup: (id, phases, ready, draining) => recordStartup(db, id, phases, ready, draining),
    renewLeases: (beats, schedulerId, leaseMs) => renewLeases(db, beats, schedulerId, leaseMs),
    disconnect: (id, schedulerId) => disconnect(db, id, schedulerId),
    endSessions: (ends, decide) => endSessions(db, ends, decide),
    reapSessions: (asOf, graceMs, limit, decide) => reapSessions(db, asOf, graceMs, limit, decide),

    recordRejectedWorkers: (rejected, schedulerId, keep) =>
      recordRejectedWorkers(db, rejected, schedulerId, keep),
    forgetRejectedWorkers: (workers) => forgetRejectedWorkers(db, workers),
    listContests: (options) => listContests(db, options),
    listRejectedWorkers: (workerId) => listRejectedWorkers(db, workerId),
    reportLaunches: (reports) => reportLaunches(db, reports),
    endLaunch: (exit) => endLaunch(db, exit),
    addRequeued: (launchId, count) => addRequeued(db, launchId, count),
    giveUpLaunches: (asOf, silentMs, limit) => giveUpLaunches(db, asOf, silentMs, limit),
    waitingLaunches: (limit) => waitingLaunches(db, limit),
    listLaunches: (filter) => listLaunches(db, filter),
    servedBefore: (launches) => servedBefore(db, launches),

    announce: (scheduler, leaseMs) => announce(db, scheduler, leaseMs),
    otherSchedulers: async (selfId) => {
      await forgetDead(db);
      return otherSchedulers(db, selfId);
    },
    retire: (id) => retire(db, id),
    lead: (name, id, leaseMs) => lead(db, name, id, leaseMs),
    sendCommand: (id, command) => sendCommand(db, id, command),
    takeCommands: (id) => takeCommands(db, id),

    getTask: (id) => getTask(db, id),
    committedResults: (keys) => committedResults(db, keys),
    getAttempts: async (id) => [...(await countedAttempts(db, id)).kept],
    countedAttempts: (id) => countedAttempts(db, id),
    listTasks: (filter) => listTasks(db, filter),
    cancelTask: (id, reason) => cancelTask(db, id, reason),
    retryTask: (id) => retryTask(db, id),
    outputAfter: (taskId, after, limit, maxBytes) => outputAfter(db, taskId, after, limit, maxBytes),
    followedTask: (id) => followedTask(db, id),
    changedTasks: (seen, withOutput) => changedTasks(db, seen, withOutput),

    listWorkers: (filter) => listWorkers(db, filter),
    getWorker: (id) => getWorker(db, id),
    leaseHolders: (ids) => leaseHolders(db, ids),
    listQueues: () => listQueues(db),
    getQueue: (name) => getQueue(db, name),
    pausedQueues: () => pausedQueues(db),
    queueDepths: (filter) => queueDepths(db, filter),
    setQueuePaused: (name, reason) => setQueuePaused(db, name, reason),
    depths: () => depths(db),
    countWorkers: () => countWorkers(db),
    attemptFacts: (keys) => attemptFacts(db, keys),
    taskEvents: (id, limit) => taskEvents(db, id, limit),
    latestTaskEvents: (id, limit) => latestTaskEvents(db, id, limit),
    fleetCounts: () => fleetCounts(db),
    stuckAttempts: (limit) => stuckAttempts(db, limit),
    workerEvents: (id, afterId, limit) => workerEvents(db, id, afterId, limit),
    lastWorkerEvent: (id, sessionId, names) => lastWorkerEvent(db, id, sessionId, names),
    recentEvents: (beforeId, limit) => recentEvents(db, beforeId, limit),
    eventsAfter: (afterId, limit) => eventsAfter(db, afterId, limit),
    lastEventId: () => lastEventId(db),

    inspect: () => inspectDatabase(db),
    listSchedulers: () => listSchedulers(db),
    fleetReport: (limit) => fleetReport(db, limit),

    databaseTime: () => databaseTime(db),
    probe: () => probe.once(),
    lastAnswerMs: () => db.lastAnswerMs,
    foreignLock: (afterMs) => foreignLock(db, afterMs),
    connectionShortage: () => db.connectionShortage(),
    openHot: () => db.openHot(),
    missingMigrations: () => missingMigrations(db),
    ensurePartitions: () => ensurePartitions(db),
    dropOld: (keepDays) => dropOld(db, keepDays),
    notify: (hint) => notify(db, hint),
    listen: (onHint, onConnected) =>
      listener.start(onHint, onConnected, options.onConnectionError, (listening) => {
        db.listeners = listening ? LISTENERS : 0;
        if (options.measures) options.measures.listening = listening;
      }),
    close: () =>
      holding(async () => {
        await listener.close();
        await db.close();
      }),
  };
}

const NOW = { name: "database-time", text: "select now() as now" };
const NOTIFY = { name: "notify", text: "select pg_notify('muster', $1)" };
async function databaseTime(db: Database): Promise<Date> {
  const [row] = await db.coldOnce<{ now: Date }>(NOW, []);
  if (!row) throw new Error("the database gave no time");
  return row.now;
}

async function notify(db: Database, hint: Hint): Promise<void> {
  await db.cold(NOTIFY, [JSON.stringify(hint)]);
}
