/** Steps that conformance cases begin with. */
import type { ConcurrencyKey } from "../../../domain/tasks/limits/concurrency.ts";
import type { NewTask } from "../../../domain/tasks/task.ts";
import type { ClaimedAttempt } from "../../store.ts";
import { NO_REQUIREMENTS, newTask } from "../made-rows.ts";
import type { StoreUnderTest } from "./store-under-test.ts";

/** Id of the class of a type in the queue `default`, with concurrency keys in their order where they are given. */
export async function makeClass(
  { classes }: StoreUnderTest,
  type: string,
  concurrency?: readonly ConcurrencyKey[],
): Promise<number> {
  const wanted = { queue: "default", type, requirements: NO_REQUIREMENTS, concurrency };
  const [made] = await classes.resolveClasses([wanted]);
  if (!made) throw new Error(`no class for ${type}`);
  return made.id;
}

/** Inserts tasks that wait; returns their ids. */
export async function submitted(
  { claims }: StoreUnderTest,
  classId: number,
  tasks: readonly NewTask[],
): Promise<number[]> {
  const inserted = await claims.insertTasks(tasks.map((task) => ({ task, classId, assignTo: undefined })));
  return inserted.map(({ id }) => id);
}

/** Attempts of new tasks of a type, assigned to a session of scheduler `a`. */
export async function assigned(test: StoreUnderTest, type: string, count: number): Promise<ClaimedAttempt[]> {
  const classId = await makeClass(test, type);
  const ids = await submitted(
    test,
    classId,
    Array.from({ length: count }, () => newTask()),
  );
  const sessionId = await test.openSession("a");
  const claimed = await test.claims.claim(ids.map((taskId) => ({ taskId, sessionId })));
  if (claimed.length !== count) throw new Error(`${claimed.length} of ${count} tasks were claimed`);
  return claimed.sort((one, other) => one.taskId - other.taskId);
}
