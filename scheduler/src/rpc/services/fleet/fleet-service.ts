/** The handlers of FleetService. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { EventSchema, FleetService, WatchEventsResponseSchema } from "@muster/protocol";
import type { Clock } from "../../../clock.ts";
import type { TaskControl } from "../../../dispatch/attempts/task-control.ts";
import type { Dispatcher } from "../../../dispatch/claiming/dispatcher.ts";
import type { Launches } from "../../../dispatch/launches/launches.ts";
import type { ClassIndex } from "../../../dispatch/matching/class-index.ts";
import type { Quarantines } from "../../../dispatch/quarantine/quarantines.ts";
import type { WorkerPauses } from "../../../dispatch/sessions/workers/worker-pauses.ts";
import { Refusal } from "../../../domain/errors.ts";
import { parseTaskId } from "../../../domain/ids.ts";
import { invalidRequest, schedulerStopping, taskNotFound, workerNotFound } from "../../../domain/refusals.ts";
import { timeline } from "../../../domain/tasks/timeline.ts";
import type { RejectedWorker } from "../../../domain/workers/rejected-worker.ts";
import { hasRegistered, type WorkerRecord } from "../../../domain/workers/worker.ts";
import type { Diagnoser } from "../../../queries/diagnoser.ts";
import type { Explainer } from "../../../queries/explainer.ts";
import type { OverviewSource } from "../../../queries/overview/overview.ts";
import { type ListedWorker, positionAfter, type WorkerList } from "../../../queries/worker-list.ts";
import type {
  EventRecord,
  EventStore,
  FleetStore,
  LaunchStore,
  MaintenanceStore,
  SessionStore,
  TaskStore,
} from "../../../store/store.ts";
import { fromDiagnosis } from "../../convert/fleet/diagnosis.ts";
import { fromEvent } from "../../convert/fleet/event.ts";
import { fromExplanation } from "../../convert/fleet/explanation.ts";
import { fromOverview } from "../../convert/fleet/overview.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { storable } from "../../convert/values/text.ts";
import { durationFault, MAX_MS, timestampFromDate, toMs } from "../../convert/values/time.ts";
import { fittedWorker } from "../../convert/workers/fitted-worker.ts";
import { fromLaunch } from "../../convert/workers/launch.ts";
import { fromRejectedWorker, withRejections } from "../../convert/workers/rejected-worker.ts";
import { fromWorker } from "../../convert/workers/worker.ts";
import { toWorkerState } from "../../convert/workers/worker-state.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keptAlive, type WatchLimits } from "../../streams/watch-stream.ts";
import { pageSize, pageToken, parsePageToken, parseWorkerToken, workerToken } from "../pages.ts";
import { type CircuitHandlerParts, circuitHandlers } from "./circuit-handlers.ts";
import { type FairnessHandlerParts, fairnessHandlers } from "./fairness-handlers.ts";
import { type KillHandlerParts, killHandlers } from "./kill-handlers.ts";
import { type LockHandlerParts, lockHandlers } from "./lock-handlers.ts";
import { type QueueHandlerParts, queueHandlers } from "./queue-handlers.ts";
import { type RateLimitHandlerParts, rateLimitHandlers } from "./rate-limit-handlers.ts";
import { type StackHandlerParts, stackHandlers } from "./stack-handlers.ts";
import { type StatisticsHandlerParts, statisticsHandlers } from "./statistics-handlers.ts";

/** Interval at which the event feed is read for watchers. */
const WATCH_POLL_MS = 250;

/** Rows of the feed in one message of WatchEvents. */
const WATCH_BATCH = 200;

/** Events of one task that are read at most; a task has few, save one that reports phases in a loop. */
const MAX_TASK_EVENTS = 10_000;

/** Parts that FleetService uses. */
export interface FleetServiceParts
  extends CircuitHandlerParts,
    Omit<FairnessHandlerParts, "classes">,
    Omit<KillHandlerParts, "launches">,
    LockHandlerParts,
    QueueHandlerParts,
    RateLimitHandlerParts,
    StackHandlerParts,
    StatisticsHandlerParts {
  readonly store: EventStore &
    CircuitHandlerParts["store"] &
    FairnessHandlerParts["store"] &
    LockHandlerParts["store"] &
    QueueHandlerParts["store"] &
    RateLimitHandlerParts["store"] &
    StatisticsHandlerParts["store"] &
    Pick<FleetStore, "getWorker"> &
    Pick<LaunchStore, "listLaunches"> &
    Pick<MaintenanceStore, "databaseTime"> &
    Pick<SessionStore, "listRejectedWorkers"> &
    Pick<TaskStore, "getAttempts" | "getTask">;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly control: TaskControl;
  readonly explainer: Explainer;
  readonly workers: WorkerList;
  readonly diagnoser: Diagnoser;
  readonly overview: OverviewSource;
  readonly launches: Launches;
  readonly workerPauses: Pick<WorkerPauses, "pause" | "resume">;
  readonly quarantines: Pick<Quarantines, "release">;
  readonly clock: Clock;
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
  readonly watchLimits: WatchLimits;
  readonly stopping: AbortSignal;
}

/** Handlers of FleetService. */
export function fleetService(parts: FleetServiceParts): Handlers<typeof FleetService> {
  const { store, control, explainer, launches, quarantines, workerPauses, workers } = parts;
  const shown = (worker: ListedWorker, now: Date) =>
    worker.kind === "rejected"
      ? fromRejectedWorker(worker.rejections)
      : withRejections(
          fittedWorker(
            fromWorker(worker.record, now, launches.silentAfterMs, worker.earlier),
            parts.pageBytes,
          ),
          worker.rejections,
        );
  const describe = async (workerId: string) => {
    const worker = await workers.get(workerId);
    if (!worker) throw workerNotFound(workerId);
    return shown(worker, await store.databaseTime());
  };
  return {
    async listWorkers(request) {
      const limit = pageSize(request.pageSize, 50);
      const { entries, now } = await workers.list({
        pool: storable(request.pool, 256),
        states: new Set(request.states.flatMap((state) => toWorkerState(state) ?? [])),
        position: parseWorkerToken(request.pageToken),
        limit,
      });
      const page = fitPage(entries, limit, (worker) => shown(worker, now), parts.pageBytes);
      return {
        workers: page.items,
        nextPageToken: page.more && page.last ? workerToken(positionAfter(page.last)) : "",
      };
    },

    async getWorker({ workerId }) {
      const worker = await workers.get(storable(workerId, 256));
      if (!worker) throw workerNotFound(workerId);
      return { worker: shown(worker, await store.databaseTime()) };
    },

    async explainWorker({ workerId }) {
      const explanation = workerId === "" ? undefined : await explainer.worker(storable(workerId, 256));
      if (!explanation) throw workerNotFound(workerId);
      return { explanation: fromExplanation(explanation) };
    },

    async drainWorker({ workerId, reason, timeout }) {
      const fault = timeout && durationFault(timeout, MAX_MS);
      if (fault !== undefined) throw invalidRequest({ field: "timeout", description: fault });
      const worker = await requireLiving(store, workerId);
      if (!hasRegistered(worker)) {
        throw new Refusal(
          "precondition",
          "WORKER_NOT_CONNECTED",
          `worker ${workerId} has not registered yet, so it cannot be drained; stop it where it was launched`,
        );
      }
      await control.drain(worker.sessionId, storable(reason, 1_024) || "asked by an operator", toMs(timeout));
      return { worker: await describe(worker.workerId) };
    },

    async pauseWorker({ workerId, reason }) {
      const worker = await requireLiving(store, workerId);
      const given = storable(reason, 1_024) || "asked by an operator";
      await workerPauses.pause(worker.workerId, given, worker.sessionId);
      return { worker: await describe(worker.workerId) };
    },

    async resumeWorker({ workerId, reason }) {
      const worker = await requireWorker(store, workerId);
      const given = storable(reason, 1_024) || "asked by an operator";
      await workerPauses.resume(worker.workerId, given, worker.sessionId);
      return { worker: await describe(worker.workerId) };
    },

    async releaseWorker({ workerId, reason }) {
      const worker = await requireLiving(store, workerId);
      await quarantines.release(worker.workerId, storable(reason, 1_024) || "asked by an operator");
      return { worker: await describe(worker.workerId) };
    },

    ...killHandlers(parts, (id) => requireWorker(store, id), describe),
    ...stackHandlers(parts, (id) => requireLiving(store, id)),
    ...queueHandlers(parts),
    ...circuitHandlers(parts),
    ...lockHandlers(parts),
    ...rateLimitHandlers(parts),
    ...fairnessHandlers(parts),
    ...statisticsHandlers(parts),

    async listLaunches(request) {
      const limit = pageSize(request.pageSize, 50);
      const found = await store.listLaunches({
        workerId: storable(request.workerId, 256) || undefined,
        pool: storable(request.pool, 256) || undefined,
        beforeId: parsePageToken(request.pageToken),
        limit: limit + 1,
      });
      const now = await store.databaseTime();
      const launched = found.flatMap((worker) => {
        const { launch } = worker;
        return launch ? [{ launch, worker }] : [];
      });
      const page = fitPage(
        launched,
        limit,
        ({ launch, worker }) => fromLaunch(launch, worker, now, launches.silentAfterMs),
        parts.pageBytes,
      );
      return {
        launches: page.items,
        nextPageToken: page.more && page.last ? pageToken(page.last.launch.rowId) : "",
      };
    },

    async listEvents(request) {
      const limit = pageSize(request.pageSize, 100);
      const position = parsePageToken(request.pageToken);
      const readTime = timestampFromDate(await store.databaseTime());
      if (request.taskId && request.workerId) {
        throw invalidRequest({ field: "worker_id", description: "excludes task_id; set one of the two" });
      }
      if (request.taskId) {
        const events = await taskTimeline(store, request.taskId);
        const from = position ?? 0;
        const page = fitPage(events.slice(from), limit, (event) => event, parts.pageBytes);
        return {
          events: page.items,
          nextPageToken: page.more ? pageToken(from + page.items.length) : "",
          readTime,
        };
      }
      if (request.workerId) {
        if ((await refusalsOf(store, request.workerId)).length === 0)
          await requireWorker(store, request.workerId);
        const events = await store.workerEvents(storable(request.workerId, 256), position ?? 0, limit + 1);
        const page = fitPage(events, limit, fromEvent, parts.pageBytes);
        return {
          events: page.items,
          nextPageToken: page.more ? pageToken(page.last?.id ?? 0) : "",
          readTime,
        };
      }
      const events = await store.recentEvents(position, limit);
      const page = fitPage(wholeRows(events), events.length, (row) => row.map(fromEvent), parts.pageBytes);
      return {
        events: page.items.flat(),
        nextPageToken: page.more || events.length >= limit ? pageToken(page.last?.[0]?.id ?? 0) : "",
        readTime,
      };
    },

    async diagnose() {
      return { diagnosis: fromDiagnosis(await parts.diagnoser.diagnose()) };
    },

    async getOverview({ limit }) {
      if (limit < 0 || limit > 100) {
        throw invalidRequest({ field: "limit", description: `${limit} is not between 1 and 100` });
      }
      return { overview: fromOverview(await parts.overview.get(limit || 20)) };
    },

    watchEvents: (request, { signal }) =>
      keptAlive(
        (watched) => watchEvents(parts, request, watched),
        () => ({}),
        { signal, clock: parts.clock, limits: parts.watchLimits },
      ),
  };
}

/** Events of one row, which names many tasks, stay together: a page goes on after a row. */
function wholeRows(events: readonly EventRecord[]): EventRecord[][] {
  const rows: EventRecord[][] = [];
  for (const event of events) {
    const row = rows.at(-1);
    if (row?.[0]?.id === event.id) row.push(event);
    else rows.push([event]);
  }
  return rows;
}

async function* watchEvents(
  { store, clock, stopping }: FleetServiceParts,
  request: { taskId: string; workerId: string; afterEventId: bigint },
  signal: AbortSignal,
): AsyncGenerator<MessageInitShape<typeof WatchEventsResponseSchema>> {
  const taskId = request.taskId ? parseTaskId(request.taskId) : undefined;
  if (request.taskId && taskId === undefined) throw taskNotFound(request.taskId);
  const { afterEventId } = request;
  if (afterEventId < 0n || afterEventId > Number.MAX_SAFE_INTEGER)
    throw invalidRequest({
      field: "after_event_id",
      description: `${afterEventId} is no event's id; pass the id of the last event that came`,
    });
  let position = afterEventId > 0n ? Number(afterEventId) : await store.lastEventId();
  // The first message: from here on the caller misses no event.
  yield {};
  const over = AbortSignal.any([signal, stopping]);
  while (!over.aborted) {
    const events = await store.eventsAfter(position, WATCH_BATCH);
    position = events.at(-1)?.id ?? position;
    const wanted = events.filter(
      (event) =>
        (taskId === undefined || event.taskId === taskId) &&
        (!request.workerId || event.workerId === request.workerId),
    );
    if (wanted.length > 0) yield { events: wanted.map(fromEvent) };
    if (events.length < WATCH_BATCH) await clock.sleep(WATCH_POLL_MS, over);
  }
  if (stopping.aborted) {
    throw schedulerStopping("watch");
  }
}

async function taskTimeline(
  store: Pick<TaskStore, "getAttempts" | "getTask"> & Pick<EventStore, "taskEvents">,
  id: string,
): Promise<MessageInitShape<typeof EventSchema>[]> {
  const taskId = parseTaskId(id);
  const task = taskId === undefined ? undefined : await store.getTask(taskId);
  if (!task) throw taskNotFound(id);
  const attempts = await store.getAttempts(task.id);
  const recorded = await store.taskEvents(task.id, MAX_TASK_EVENTS);
  return timeline(task, attempts, recorded).map((event) => fromEvent({ ...event, taskId: task.id }));
}

/** What was refused in a worker's name, the latest first. */
async function refusalsOf(
  store: Pick<SessionStore, "listRejectedWorkers">,
  workerId: string,
): Promise<RejectedWorker[]> {
  return workerId === "" ? [] : store.listRejectedWorkers(storable(workerId, 256));
}

async function requireWorker(store: Pick<FleetStore, "getWorker">, id: string): Promise<WorkerRecord> {
  const worker = id === "" ? undefined : await store.getWorker(storable(id, 256));
  if (worker) return worker;
  throw workerNotFound(id);
}

async function requireLiving(store: Pick<FleetStore, "getWorker">, id: string): Promise<WorkerRecord> {
  const worker = await requireWorker(store, id);
  if (!worker.goneTime) return worker;
  throw new Refusal("precondition", "WORKER_GONE", `worker ${id} has already ended (${worker.goneReason})`);
}
