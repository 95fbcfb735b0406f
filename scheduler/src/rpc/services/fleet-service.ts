import type { MessageInitShape } from "@bufbuild/protobuf";
import { quoted } from "@muster/common/text";
import type { EventSchema, FleetService, QueueSchema, WatchEventsResponseSchema } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { TaskControl } from "../../dispatch/attempts/task-control.ts";
import type { Dispatcher } from "../../dispatch/claiming/dispatcher.ts";
import type { Launches } from "../../dispatch/launches/launches.ts";
import type { ClassIndex } from "../../dispatch/matching/class-index.ts";
import { Refusal } from "../../domain/errors.ts";
import { parseTaskId } from "../../domain/ids.ts";
import { timeline } from "../../domain/tasks/timeline.ts";
import type { RefusalRecord } from "../../domain/workers/rejected-worker.ts";
import { hasRegistered, type WorkerRecord, workerState } from "../../domain/workers/worker.ts";
import type { Explainer } from "../../queries/explainer.ts";
import type { FleetView } from "../../queries/fleet-view.ts";
import type { EventRecord, Store } from "../../store/store.ts";
import { fittedWorker } from "../convert/fitted-worker.ts";
import { fromEvent, fromWorker, toWorkerState } from "../convert/from-domain.ts";
import { fromExplanation } from "../convert/from-explanation.ts";
import { fromLaunch } from "../convert/from-launch.ts";
import { fromQueue } from "../convert/from-queue.ts";
import { fitPage } from "../convert/message-size.ts";
import { storable } from "../convert/text.ts";
import { durationFault, timestampFromDate } from "../convert/time.ts";
import { MAX_MS, toMs } from "../convert/to-domain.ts";
import type { Handlers } from "../server/handlers.ts";
import { keptAlive, type WatchLimits } from "../streams/watch-stream.ts";
import type { Diagnoser } from "./diagnoser.ts";
import type { OverviewSource } from "./overview.ts";
import { nameToken, pageSize, pageToken, parseNameToken, parsePageToken } from "./pages.ts";
import {
  byWorker,
  isWorker,
  parseWorkerToken,
  refusedPage,
  refusedToken,
  refusedWorker,
  withRefusals,
} from "./rejected-workers.ts";

/** The feed is read this often for watchers. */
const WATCH_POLL_MS = 250;

/** Rows of the feed in one message of WatchEvents. */
const WATCH_BATCH = 200;

/** Events of one task that are read at most; a task has few, save one that reports phases in a loop. */
const MAX_TASK_EVENTS = 10_000;

/** Types of a queue that are sent: those with the most ready tasks. */
const MAX_TYPES = 50;

const QUEUE_NAME = /^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$/;

/** What the service works with. */
export interface FleetServiceParts {
  readonly store: Store;
  readonly classes: ClassIndex;
  readonly dispatcher: Dispatcher;
  readonly control: TaskControl;
  readonly explainer: Explainer;
  readonly fleet: Pick<FleetView, "activeCount">;
  readonly diagnoser: Diagnoser;
  readonly overview: OverviewSource;
  readonly launches: Launches;
  readonly clock: Clock;
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
  readonly watchLimits: WatchLimits;
  readonly stopping: AbortSignal;
}

/** Handlers of FleetService. */
export function fleetService(parts: FleetServiceParts): Handlers<typeof FleetService> {
  const { store, control, explainer, fleet, launches } = parts;
  const shown = (worker: WorkerRecord, now: Date) =>
    fittedWorker(
      fromWorker({ ...worker, activeCount: fleet.activeCount(worker) }, now, launches.silentAfterMs),
      parts.pageBytes,
    );
  return {
    async listWorkers(request) {
      const limit = pageSize(request.pageSize, 50);
      const wanted = new Set(request.states.flatMap((state) => toWorkerState(state) ?? []));
      const gone = wanted.has("gone") || wanted.has("lost");
      const now = await store.databaseTime();
      const found: WorkerRecord[] = [];
      const asked = wanted.has("refused");
      const refusals = byWorker(
        (await store.listRefusals(undefined)).filter((each) => asked || isWorker(each)),
      );
      const position = parseWorkerToken(request.pageToken);
      const listsRefused = wanted.size === 0 || wanted.has("refused");
      const refused = (afterId: string, room: number) =>
        refusedPage(refusals, { pool: request.pool, afterId, limit: room });
      if ("afterRefused" in position) return refused(position.afterRefused, limit);
      if (wanted.size === 1 && wanted.has("refused")) return refused("", limit);
      let beforeId = position.beforeId;
      let more = true;
      while (found.length <= limit && more) {
        const rows = await store.listWorkers({
          pool: storable(request.pool, 256) || undefined,
          living: wanted.size > 0 && !gone ? true : undefined,
          beforeId,
          limit: limit + 1,
        });
        more = rows.length > limit;
        beforeId = rows.at(-1)?.sessionId;
        found.push(...rows.filter((worker) => wanted.size === 0 || wanted.has(workerState(worker, now))));
      }
      const page = fitPage(
        found,
        limit,
        (worker) => withRefusals(shown(worker, now), refusals.get(worker.workerId) ?? []),
        parts.pageBytes,
      );
      const workers = page.items;
      if (page.more && page.last) return { workers, nextPageToken: pageToken(page.last.sessionId) };
      if (!listsRefused) return { workers, nextPageToken: "" };
      if (workers.length === limit) {
        return { workers, nextPageToken: refused("", 1).workers.length > 0 ? refusedToken("") : "" };
      }
      const rest = refused("", limit - workers.length);
      return { workers: [...workers, ...rest.workers], nextPageToken: rest.nextPageToken };
    },

    async getWorker({ workerId }) {
      const refusals = await refusalsOf(store, workerId);
      if (refusals.length > 0 && !(await store.getWorker(workerId)))
        return { worker: refusedWorker(refusals) };
      const worker = await requireWorker(store, workerId);
      return { worker: withRefusals(shown(worker, await store.databaseTime()), refusals) };
    },

    async explainWorker({ workerId }) {
      const explanation = workerId === "" ? undefined : await explainer.worker(storable(workerId, 256));
      if (!explanation) throw workerNotFound(workerId);
      return { explanation: fromExplanation(explanation) };
    },

    async drainWorker({ workerId, reason, timeout }) {
      const fault = timeout && durationFault(timeout, MAX_MS);
      if (fault !== undefined) throw invalid("timeout", fault);
      const worker = await requireWorker(store, workerId);
      if (worker.goneTime) {
        throw new Refusal(
          "precondition",
          "WORKER_GONE",
          `worker ${workerId} has already ended (${worker.goneReason})`,
        );
      }
      if (!hasRegistered(worker)) {
        throw new Refusal(
          "precondition",
          "WORKER_NOT_CONNECTED",
          `worker ${workerId} has not registered yet, so nobody can ask it to drain; stop it where it was launched`,
        );
      }
      await control.drain(worker.sessionId, storable(reason, 1_024) || "asked by an operator", toMs(timeout));
      return { worker: shown(await requireWorker(store, workerId), await store.databaseTime()) };
    },

    async listQueues(request) {
      const limit = pageSize(request.pageSize, 50);
      const afterName = parseNameToken(request.pageToken);
      const found = await store.queueDepths({ afterName, limit: limit + 1, maxTypes: MAX_TYPES });
      const page = fitPage(found, limit, fromQueue, parts.pageBytes);
      return { queues: page.items, nextPageToken: page.last && page.more ? nameToken(page.last.name) : "" };
    },

    async explainQueue({ queue }) {
      const explanation = await explainer.queue(storable(queue, 256));
      if (!explanation) {
        const rows = await store.listQueues();
        throw new Refusal(
          "not_found",
          "QUEUE_NOT_FOUND",
          `there is no queue ${quoted(queue, 140)}; known: ${rows.map(({ name }) => name).join(", ") || "none yet"}`,
        );
      }
      return { explanation: fromExplanation(explanation) };
    },

    async pauseQueue({ queue, reason }) {
      const name = requireQueueName(queue);
      await store.setQueuePaused(name, storable(reason, 1_024) || "paused by an operator");
      await refreshPaused(parts);
      return { queue: await describeQueue(parts, name) };
    },

    async resumeQueue({ queue }) {
      const name = requireQueueName(queue);
      await store.setQueuePaused(name, undefined);
      await refreshPaused(parts);
      parts.dispatcher.lookAgain();
      return { queue: await describeQueue(parts, name) };
    },

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
        throw new Refusal("invalid", "INVALID_REQUEST", "task_id and worker_id exclude each other; set one");
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
      return { diagnosis: await parts.diagnoser.diagnose() };
    },

    async getOverview({ limit }) {
      if (limit < 0 || limit > 100) {
        throw new Refusal("invalid", "INVALID_REQUEST", `limit ${limit} is not between 1 and 100`, {
          violations: [{ field: "limit", description: `${limit} is not between 1 and 100` }],
        });
      }
      return { overview: await parts.overview.get(limit || 20) };
    },

    watchEvents: (request, { signal }) =>
      keptAlive(
        (watched) => watchEvents(parts, request, watched),
        () => ({}),
        { signal, clock: parts.clock, limits: parts.watchLimits },
      ),
  };
}

/** Tells the matcher which queues are paused. */
export async function refreshPaused({
  store,
  classes,
}: Pick<FleetServiceParts, "store" | "classes">): Promise<boolean> {
  return classes.setPaused(await store.pausedQueues());
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
    throw invalid(
      "after_event_id",
      `${afterEventId} is no event's id; pass the id of the last event that came`,
    );
  let position = afterEventId > 0n ? Number(afterEventId) : await store.lastEventId();
  // The caller knows by it that nothing is missed from here on.
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
    throw new Refusal("unavailable", "SCHEDULER_STOPPING", "the scheduler is stopping; watch again", {
      retryDelayMs: 1_000,
    });
  }
}

async function taskTimeline(store: Store, id: string): Promise<MessageInitShape<typeof EventSchema>[]> {
  const taskId = parseTaskId(id);
  const task = taskId === undefined ? undefined : await store.getTask(taskId);
  if (!task) throw taskNotFound(id);
  const attempts = await store.getAttempts(task.id);
  const recorded = await store.taskEvents(task.id, MAX_TASK_EVENTS);
  return timeline(task, attempts, recorded).map((event) => fromEvent({ ...event, taskId: task.id }));
}

async function describeQueue(
  { store }: FleetServiceParts,
  name: string,
): Promise<MessageInitShape<typeof QueueSchema>> {
  const [queue] = await store.queueDepths({ name, limit: 1, maxTypes: MAX_TYPES });
  return queue ? fromQueue(queue) : { name };
}

function requireQueueName(queue: string): string {
  if (QUEUE_NAME.test(queue)) return queue;
  throw new Refusal("invalid", "INVALID_REQUEST", `${quoted(queue, 140)} is not a queue name`, {
    violations: [
      {
        field: "queue",
        description: "must start with a letter or digit and hold at most 128 of A-Z a-z 0-9 . _ : / -",
      },
    ],
  });
}

/** What was refused in a worker's name, the latest first. */
async function refusalsOf(store: Store, workerId: string): Promise<RefusalRecord[]> {
  return workerId === "" ? [] : store.listRefusals(storable(workerId, 256));
}

async function requireWorker(store: Store, id: string): Promise<WorkerRecord> {
  const worker = id === "" ? undefined : await store.getWorker(storable(id, 256));
  if (worker) return worker;
  throw workerNotFound(id);
}

function workerNotFound(id: string): Refusal {
  return new Refusal(
    "not_found",
    "WORKER_NOT_FOUND",
    `there is no worker ${quoted(id, 140)} and no trace of one; list them with ListWorkers`,
  );
}

function invalid(field: string, description: string): Refusal {
  return new Refusal("invalid", "INVALID_REQUEST", `${field} ${description}`, {
    violations: [{ field, description }],
  });
}

function taskNotFound(id: string): Refusal {
  return new Refusal("not_found", "TASK_NOT_FOUND", `there is no task ${quoted(id)}; ids look like t-1042`);
}
