/** The handlers of TaskService for batches. */
import type { TaskService } from "@muster/protocol";
import type { SizeLimits } from "../../../dispatch/limits.ts";
import type { Batches } from "../../../dispatch/submission/batches.ts";
import { batchNotFound, invalidRequest } from "../../../domain/refusals.ts";
import { parseBatchId } from "../../../domain/tasks/batch.ts";
import { dependsOnOthers } from "../../../domain/tasks/limits/limit-plan.ts";
import type { BatchStore } from "../../../store/store.ts";
import { fromBatch } from "../../convert/tasks/batch.ts";
import { fromLinkedTask } from "../../convert/tasks/dependencies.ts";
import { toNewTasks } from "../../convert/tasks/task-spec.ts";
import { storable } from "../../convert/values/text.ts";
import type { Handlers } from "../../server/handlers.ts";
import { pageSize, pageToken, parsePageToken } from "../pages.ts";

const MAX_TITLE = 256;
const MAX_REASON = 1_024;

/** Batches of a page: their members are counted. */
const MAX_LISTED = 100;

/** Parts that they use. */
export interface BatchHandlerParts {
  readonly store: Pick<BatchStore, "batchTasks" | "getBatch" | "listBatches">;
  readonly batches: Pick<Batches, "cancel" | "close" | "create">;
  readonly sizes: SizeLimits;
}

type BatchHandlers = Pick<
  Handlers<typeof TaskService>,
  "cancelBatch" | "closeBatch" | "createBatch" | "getBatch" | "listBatches" | "listBatchTasks"
>;

export function batchHandlers({ store, batches, sizes }: BatchHandlerParts): BatchHandlers {
  const read = async (batchId: string) => {
    const id = parseBatchId(batchId);
    const batch = id === undefined ? undefined : await store.getBatch(id);
    if (!batch) throw batchNotFound(batchId);
    return batch;
  };
  return {
    async createBatch({ title, completion }) {
      const [task] = completion ? toNewTasks([completion], sizes, () => "completion") : [];
      if (task && dependsOnOthers(task))
        throw invalidRequest({
          field: "completion",
          description:
            "has a unique key, dependencies, a batch, or a concurrency key with a policy or a strict order; a completion task waits for the batch alone",
        });
      const id = await batches.create(storable(title, MAX_TITLE), task);
      return { batch: fromBatch(await read(`b-${id}`)) };
    },

    async closeBatch({ batchId }) {
      await batches.close((await read(batchId)).id);
      return { batch: fromBatch(await read(batchId)) };
    },

    async getBatch({ batchId }) {
      return { batch: fromBatch(await read(batchId)) };
    },

    async listBatches({ open, title, pageToken: token, ...request }) {
      const limit = Math.min(pageSize(request.pageSize, 50), MAX_LISTED);
      const found = await store.listBatches({
        open,
        title: storable(title, MAX_TITLE) || undefined,
        beforeId: parsePageToken(token),
        limit: limit + 1,
      });
      const batches = found.slice(0, limit);
      const last = batches.at(-1);
      return {
        batches: batches.map(fromBatch),
        nextPageToken: last && found.length > limit ? pageToken(last.id) : "",
      };
    },

    async cancelBatch({ batchId, reason }) {
      const { id, hasCompletion } = await read(batchId);
      await batches.cancel(id, storable(reason, MAX_REASON) || "asked by a caller", hasCompletion);
      return { batch: fromBatch(await read(batchId)) };
    },

    async listBatchTasks(request) {
      const limit = pageSize(request.pageSize, 50);
      const { id } = await read(request.batchId);
      const page = await store.batchTasks(id, parsePageToken(request.pageToken) ?? 0, limit);
      const { lastPosition } = page;
      return {
        tasks: page.tasks.map(fromLinkedTask),
        nextPageToken: lastPosition === undefined ? "" : pageToken(lastPosition),
      };
    },
  };
}
