/** The role of the store that this folder implements. */
import type { TaskLogStore } from "../../task-logs.ts";
import type { Database } from "../connection/database.ts";
import { appendLogs } from "./append.ts";
import { logsAfter } from "./read.ts";

export function taskLogStore(db: Database): TaskLogStore {
  return {
    appendLogs: (rows) => appendLogs(db, rows),
    logsAfter: (range, positions, limit) => logsAfter(db, range, positions, limit),
  };
}
