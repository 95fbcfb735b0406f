/** The handlers of TaskService. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { Duration } from "@bufbuild/protobuf/wkt";
import {
  type SubmittedTaskSchema,
  type TaskService,
  UniqueConflictOutcome,
  type UniqueKey,
  type WatchTaskResponseSchema,
} from "@muster/protocol";
import type { Clock } from "../../../clock.ts";
import type { RetryPolicies } from "../../../dispatch/attempts/retry-policies.ts";
import type { Revocations } from "../../../dispatch/attempts/revocations.ts";
import type { TaskControl } from "../../../dispatch/attempts/task-control.ts";
import type { TaskFollowers } from "../../../dispatch/following/task-followers.ts";
import type { SizeLimits } from "../../../dispatch/limits.ts";
import type { FitWarnings, SubmitWarning } from "../../../dispatch/submission/fit-warnings.ts";
import type { Submitter } from "../../../dispatch/submission/submitter.ts";
import { Refusal, type Violation } from "../../../domain/errors.ts";
import { formatAttemptId, formatTaskId, parseTaskId } from "../../../domain/ids.ts";
import {
  invalidRequest,
  noTaskOfKey,
  notHoldable,
  schedulerStopping,
  taskEnded,
  taskNotFound,
} from "../../../domain/refusals.ts";
import type { TaskRecord } from "../../../domain/tasks/task.ts";
import type { Explainer } from "../../../queries/explainer.ts";
import type {
  CheckpointStore,
  DependencyStore,
  InsertedTask,
  RetryWish,
  TaskStore,
} from "../../../store/store.ts";
import type { Tracing } from "../../../telemetry/spans/tracing.ts";
import { fromExplanation } from "../../convert/fleet/explanation.ts";
import { fromCheckpointSummary } from "../../convert/tasks/attempts/checkpoint.ts";
import { fromTaskLinks } from "../../convert/tasks/dependencies.ts";
import { fittedTask } from "../../convert/tasks/fitted-task.ts";
import { fromLimitOutcome } from "../../convert/tasks/limits/concurrency.ts";
import { milliseconds } from "../../convert/tasks/options.ts";
import { fromTaskState } from "../../convert/tasks/task.ts";
import { toTaskEdit } from "../../convert/tasks/task-edit.ts";
import { toTaskFilter } from "../../convert/tasks/task-list.ts";
import { toNewTasks } from "../../convert/tasks/task-spec.ts";
import { fitPage } from "../../convert/values/message-size.ts";
import { optional } from "../../convert/values/optional.ts";
import { storable } from "../../convert/values/text.ts";
import { timestampFromMs } from "../../convert/values/time.ts";
import type { Handlers } from "../../server/handlers.ts";
import { keptAlive, type WatchLimits } from "../../streams/watch-stream.ts";
import { type WatchTaskParts, watchTask } from "../../streams/watch-task.ts";
import { pageSize, pageToken, parsePageToken } from "../pages.ts";
import { type BatchHandlerParts, batchHandlers } from "./batch-handlers.ts";
import { type ChangeHandlerParts, changeHandlers } from "./change-handlers.ts";
import { type LogHandlerParts, logHandlers } from "./log-handlers.ts";

/** Largest entry of a list, bytes: its failure's message, its headers and 16 KiB of warnings fit. */
const MAX_LISTED_BYTES = 64 * 1024;

/** A key has at most 512 bytes: what is left of a longer one belongs to no task. */
const MAX_KEY_CHARACTERS = 513;

const OUTCOMES = {
  returned: UniqueConflictOutcome.RETURNED,
  replaced: UniqueConflictOutcome.REPLACED,
} as const satisfies Record<NonNullable<InsertedTask["conflict"]>["outcome"], UniqueConflictOutcome>;

/** Parts that TaskService uses. */
export interface TaskServiceParts extends BatchHandlerParts, ChangeHandlerParts, LogHandlerParts {
  readonly store: Pick<TaskStore, "countedAttempts" | "keyOwner" | "listTasks"> &
    BatchHandlerParts["store"] &
    ChangeHandlerParts["store"] &
    Pick<CheckpointStore, "checkpointOf"> &
    Pick<DependencyStore, "taskLinks"> &
    LogHandlerParts["store"] &
    WatchTaskParts["store"];
  readonly submitter: Submitter;
  readonly fitWarnings: FitWarnings;
  readonly control: TaskControl;
  readonly retryPolicies: Pick<RetryPolicies, "resolve">;
  readonly revocations: Pick<Revocations, "revoke">;
  readonly followers: TaskFollowers;
  readonly explainer: Explainer;
  readonly clock: Clock;
  readonly sizes: SizeLimits;
  /** About the largest message: a page ends before it. */
  readonly pageBytes: number;
  readonly tracing: Tracing;
  readonly watchLimits: WatchLimits;
  /** Aborts when the scheduler stops: watches end. */
  readonly stopping: AbortSignal;
}

/** Handlers of TaskService. */
export function taskService(parts: TaskServiceParts): Handlers<typeof TaskService> {
  const { store, submitter, control, retryPolicies, revocations } = parts;
  const shown = async (taskId: string) =>
    fittedTask(await requireTask(store, taskId), retryPolicies, undefined, parts.sizes.maxMessageBytes);
  return {
    ...batchHandlers(parts),
    ...changeHandlers(parts),
    ...logHandlers(parts),

    async submitTasks({ tasks }, { requestHeader }) {
      if (parts.stopping.aborted) throw schedulerStopping("call");
      const given = toNewTasks(tasks, parts.sizes);
      const inserted = await parts.tracing.submit(requestHeader, given, (traced) => submitter.submit(traced));
      const warnings = parts.fitWarnings.concerns(given) ? await parts.fitWarnings.of(given) : undefined;
      return { tasks: inserted.map((row, index) => fromInserted(row, warnings?.[index])) };
    },

    async getTask({ taskId, uniqueKey }) {
      const task = uniqueKey ? await keyOwner(store, taskId, uniqueKey) : await requireTask(store, taskId);
      const attempts = await store.countedAttempts(task.id);
      const message = fittedTask(task, retryPolicies, attempts, parts.sizes.maxMessageBytes);
      // A success is not gone on from.
      const checkpoint =
        task.options?.checkpointed && task.state !== "succeeded"
          ? await store.checkpointOf(task.id)
          : undefined;
      if (checkpoint) message.checkpoint = fromCheckpointSummary(task.id, checkpoint);
      return { task: message };
    },

    async listTasks(request) {
      const limit = pageSize(request.pageSize, 50);
      const filter = toTaskFilter(request);
      const { tasks, beforeId } = await store.listTasks({
        ...filter,
        beforeId: parsePageToken(request.pageToken),
        limit: limit + 1,
      });
      const listed = (task: TaskRecord) =>
        fittedTask(task, retryPolicies, undefined, Math.min(MAX_LISTED_BYTES, parts.pageBytes));
      const page = fitPage(tasks, limit, listed, parts.pageBytes);
      const next = page.last && page.more ? page.last.id : beforeId;
      return { tasks: page.items, nextPageToken: next === undefined ? "" : pageToken(next) };
    },

    async cancelTask({ taskId, reason }) {
      const id = requireId(taskId);
      const outcome = await control.cancel(id, storable(reason, 1_024) || "asked by a caller");
      if (outcome === undefined) throw taskNotFound(taskId);
      if (outcome === "ended") throw taskEnded(taskId);
      return { task: await shown(taskId) };
    },

    async retryTask({ taskId, afresh, step }) {
      const outcome = await control.retry(requireId(taskId), toRetryWish(afresh, step));
      if (outcome === undefined) throw taskNotFound(taskId);
      if (outcome === "active") {
        throw new Refusal(
          "precondition",
          "TASK_NOT_RETRYABLE",
          step === ""
            ? `task ${taskId} is queued or running; only one that has ended or waits for its time can be retried`
            : `task ${taskId} has not ended; a step can be run again alone when it has`,
        );
      }
      return { task: await shown(taskId) };
    },

    async holdTask({ taskId, reason }) {
      const outcome = await control.hold(requireId(taskId), storable(reason, 1_024) || "asked by a caller");
      if (outcome === undefined) throw taskNotFound(taskId);
      if (outcome === "ended") throw taskEnded(taskId);
      if (outcome === "active") throw notHoldable(taskId);
      return { task: await shown(taskId) };
    },

    async releaseTask({ taskId, reason }) {
      const outcome = await control.release(
        requireId(taskId),
        storable(reason, 1_024) || "asked by a caller",
      );
      if (outcome === undefined) throw taskNotFound(taskId);
      if (outcome === "ended") throw taskEnded(taskId);
      return { task: await shown(taskId) };
    },

    async revokeTask({ taskId, reason, delay }) {
      const delayMs = delay ? askedDelay(delay) : 0;
      const id = requireId(taskId);
      const revoked = await revocations.revoke(id, storable(reason, 1_024) || "asked by a caller", delayMs);
      if (!revoked) throw taskNotFound(taskId);
      const { key, workerId } = revoked;
      return { task: await shown(taskId), attemptId: formatAttemptId(key), workerId };
    },

    async updateTask(request) {
      const { taskId, reason } = request;
      const edit = toTaskEdit(request);
      const id = requireId(taskId);
      const changes = await control.edit(id, edit, storable(reason, 1_024) || "asked by a caller");
      if (!changes) throw taskNotFound(taskId);
      return {
        task: await shown(taskId),
        changes: changes.map(({ field: name, before, after }) => ({ name, before, after })),
      };
    },

    async getDependencies(request) {
      const limit = pageSize(request.pageSize, 50);
      const task = await requireTask(store, request.taskId);
      const links = await store.taskLinks(task.id, parsePageToken(request.pageToken) ?? 0, limit);
      const { lastPosition } = links;
      return {
        ...fromTaskLinks(links),
        nextPageToken: lastPosition === undefined ? "" : pageToken(lastPosition),
      };
    },

    watchTask: ({ taskId }, { signal }) =>
      keptAlive<MessageInitShape<typeof WatchTaskResponseSchema>>(
        (watched) =>
          watchTask({ ...parts, maxMessageBytes: parts.sizes.maxMessageBytes }, requireId(taskId), watched, {
            notFound: () => taskNotFound(taskId),
            stopping: () => schedulerStopping("watch"),
          }),
        () => ({ readTime: timestampFromMs(parts.clock.now()) }),
        { signal, clock: parts.clock, limits: parts.watchLimits },
      ),

    async explainTask({ taskId }) {
      const explanation = await parts.explainer.task(requireId(taskId));
      if (!explanation) throw taskNotFound(taskId);
      return { explanation: fromExplanation(explanation) };
    },
  };
}

/** @param warning Of the submitted task; it says nothing of a holder that is returned instead. */
function fromInserted(
  { id, duplicate, conflict, limits, waitsForTasks }: InsertedTask,
  warning: SubmitWarning | undefined,
): MessageInitShape<typeof SubmittedTaskSchema> {
  const taskId = formatTaskId(id);
  if (!conflict)
    return {
      ...{ taskId, duplicate },
      ...optional("warnings", warning && !duplicate ? [warning] : undefined),
      ...optional("concurrency", limits && fromLimitOutcome(limits)),
      waitsForTasks: waitsForTasks ?? false,
    };
  const outcome = OUTCOMES[conflict.outcome];
  return {
    taskId,
    duplicate,
    conflict: { outcome, holderState: fromTaskState(conflict.state) },
    ...(warning && !duplicate ? { warnings: [warning] } : {}),
  };
}

/** The task that a unique key belongs to. */
async function keyOwner(
  store: Pick<TaskStore, "getTask" | "keyOwner">,
  taskId: string,
  { queue, key }: UniqueKey,
): Promise<TaskRecord> {
  if (taskId !== "") {
    const description = "is set together with unique_key; give one of them";
    throw invalidRequest({ field: "task_id", description });
  }
  if (key === "")
    throw invalidRequest({ field: "unique_key.key", description: "is empty; give the key of a task" });
  const name = queue || "default";
  // A NUL is stored in no key, and what would be stored instead may be one.
  const owner = key.includes("\0")
    ? undefined
    : await store.keyOwner(storable(name, 256), storable(key, MAX_KEY_CHARACTERS));
  const task = owner && (await store.getTask(owner.id));
  if (!task) throw noTaskOfKey(name, key);
  return task;
}

/** @throws Refusal `INVALID_REQUEST` */
function askedDelay(delay: Duration): number {
  const violations: Violation[] = [];
  const delayMs = milliseconds(delay, "delay", (field, description) =>
    violations.push({ field, description }),
  );
  const [first] = violations;
  if (first) throw invalidRequest(first);
  return delayMs;
}

/** How a task is to be retried. @throws Refusal `INVALID_REQUEST` for a step and `afresh` together. */
function toRetryWish(afresh: boolean, step: string): RetryWish {
  if (step === "") return { afresh };
  if (afresh)
    throw invalidRequest({
      field: "step",
      description:
        "is given with afresh; leave one of them out: a step alone runs with what the others have kept",
    });
  return { step: storable(step, 64) };
}

function requireId(taskId: string): number {
  const id = parseTaskId(taskId);
  if (id === undefined) throw taskNotFound(taskId);
  return id;
}

async function requireTask(store: Pick<TaskStore, "getTask">, taskId: string): Promise<TaskRecord> {
  const task = await store.getTask(requireId(taskId));
  if (!task) throw taskNotFound(taskId);
  return task;
}
