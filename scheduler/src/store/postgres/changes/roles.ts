/** The role of the store that this folder implements: changes of many tasks. */
import type { ChangeStore } from "../../task-changes.ts";
import type { Database } from "../connection/database.ts";
import { changeTasks } from "./apply.ts";
import { tasksToChange } from "./find.ts";
import { changeScope, queueExists } from "./scope.ts";

export function changeStore(db: Database): ChangeStore {
  return {
    changeScope: (change, filter, cutOff) => changeScope(db, change, filter, cutOff),
    tasksToChange: (scope, after, limit) => tasksToChange(db, scope, after, limit),
    changeTasks: (scope, tasks, reason) => changeTasks(db, scope, tasks, reason),
    queueExists: (name, make) => queueExists(db, name, make),
  };
}
