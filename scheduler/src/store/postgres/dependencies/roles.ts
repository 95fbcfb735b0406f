/** The roles of the store that this folder implements: dependencies and batches. */

import type { BatchStore } from "../../batches.ts";
import type { DependencyStore } from "../../dependencies.ts";
import type { Database } from "../connection/database.ts";
import { createBatch } from "../unique-keys/insert-keyed.ts";
import {
  batchCancelled,
  batchTasks,
  closeBatch,
  getBatch,
  listBatches,
  nextBatchCancel,
  requestBatchCancel,
} from "./batches.ts";
import { predecessors, taskLinks } from "./read-links.ts";
import { releaseDependents } from "./release.ts";

export function dependencyStore(db: Database): DependencyStore {
  return {
    releaseDependents: (maxEnds, perEnd) => releaseDependents(db, maxEnds, perEnd),
    predecessors: (taskId) => predecessors(db, taskId),
    taskLinks: (taskId, after, limit) => taskLinks(db, taskId, after, limit),
  };
}

export function batchStore(db: Database): BatchStore {
  return {
    createBatch: (title, completion) => createBatch(db, title, completion),
    getBatch: (id) => getBatch(db, id),
    listBatches: (filter) => listBatches(db, filter),
    closeBatch: (id) => closeBatch(db, id),
    requestBatchCancel: (id, reason) => requestBatchCancel(db, id, reason),
    nextBatchCancel: (limit) => nextBatchCancel(db, limit),
    batchCancelled: (id, position) => batchCancelled(db, id, position),
    batchTasks: (id, after, limit) => batchTasks(db, id, after, limit),
  };
}
