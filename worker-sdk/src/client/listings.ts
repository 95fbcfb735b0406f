/** Reads listings of the scheduler, page after page. */
import type { CallOptions, Client as ConnectClient } from "@connectrpc/connect";
import type { Batch, Plain, PlainTask, TaskService } from "@muster/protocol";
import { BatchSchema, parentTag, plain, plainTask } from "@muster/protocol";

/** Children in a page of a listing. */
const CHILDREN_PAGE = 500;

/** Entries of a page of a listing of batches. */
const BATCHES_PAGE = 100;

type Tasks = ConnectClient<typeof TaskService>;

/** Children of a task, the newest first. */
export async function* listChildren(
  tasks: Tasks,
  taskId: string,
  call: CallOptions,
): AsyncGenerator<PlainTask> {
  let pageToken = "";
  do {
    const request = { tags: [parentTag(taskId)], pageSize: CHILDREN_PAGE, pageToken };
    const page = await tasks.listTasks(request, call);
    for (const child of page.tasks) yield plainTask(child);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}

/** Batches, the newest first. */
export async function* listBatches(
  tasks: Tasks,
  filter: { readonly open: boolean; readonly title: string },
  call: CallOptions,
): AsyncGenerator<Plain<Batch>> {
  let pageToken = "";
  do {
    const page = await tasks.listBatches({ ...filter, pageSize: BATCHES_PAGE, pageToken }, call);
    for (const batch of page.batches) yield plain(BatchSchema, batch);
    pageToken = page.nextPageToken;
  } while (pageToken !== "");
}
