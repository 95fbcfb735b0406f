/** Waits for a task in a state, and says what was there instead. */
import { type PlainTask, plainTask, TaskState, type TaskStateName } from "@muster/protocol";
import type { Client } from "../client/client.ts";
import { sleep, systemClock } from "../clock.ts";

/** Which task is waited for: all that is given must hold. */
export interface TaskFilter {
  /** State, or several of them. A state may be too short to be seen: wait for the one after it as well. */
  readonly state: TaskStateName | readonly TaskStateName[];
  /** Id of the task. @default any */
  readonly id?: string;
  /** Task type, or its definition. @default any */
  readonly type?:
    | string
    | {
        /** Task type. */
        readonly type: string;
      };
  /** Queue. @default any */
  readonly queue?: string;
  /** Id of the worker that holds it, or held it last. @default any */
  readonly workerId?: string;
}

/** Options of `TestKit.waitFor()`. */
export interface WaitForOptions {
  /** Longest wait in seconds. @default 30 */
  readonly timeoutS?: number;
}

/** Pause between two looks; a look takes some milliseconds. */
const LOOK_EVERY_MS = 25;

/** Tasks that an error names. */
const NAMED_TASKS = 5;

/** Reasons of an explanation that an error has. */
const NAMED_REASONS = 3;

const STATES: Readonly<Record<TaskStateName, TaskState>> = {
  queued: TaskState.QUEUED,
  assigned: TaskState.ASSIGNED,
  running: TaskState.RUNNING,
  succeeded: TaskState.SUCCEEDED,
  failed: TaskState.FAILED,
  cancelled: TaskState.CANCELLED,
};

/** The first task that the filter lets through. @throws Error after the timeout, with what was there instead. */
export async function waitForTask(
  client: Client,
  filter: TaskFilter,
  { timeoutS = 30 }: WaitForOptions,
): Promise<PlainTask> {
  const wanted = typeof filter.state === "string" ? [filter.state] : filter.state;
  for (const state of wanted)
    if (STATES[state] === undefined)
      throw new TypeError(`waitFor: the state "${state}" is none of ${Object.keys(STATES).join(", ")}`);
  if (wanted.length === 0) throw new TypeError("waitFor: state is an empty list; give a state");
  if (!(timeoutS > 0 && timeoutS <= 3600))
    throw new RangeError(`waitFor: timeoutS is ${timeoutS}; give a number of seconds above 0, at most 3600`);
  const untilMs = systemClock.monotonicMs() + timeoutS * 1000;
  for (;;) {
    const found = await find(
      client,
      filter,
      wanted.map((state) => STATES[state]),
    );
    if (found !== undefined) return client.get(found.id);
    if (systemClock.monotonicMs() >= untilMs) break;
    await sleep(LOOK_EVERY_MS);
  }
  throw new Error(await described(client, filter, wanted, timeoutS));
}

async function find(client: Client, filter: TaskFilter, states: TaskState[]): Promise<PlainTask | undefined> {
  const tasks = await listed(client, filter, states);
  // The oldest one: it is the first that got there.
  return tasks.at(-1);
}

async function listed(
  client: Client,
  { id, type, ...filter }: TaskFilter,
  states: TaskState[],
): Promise<PlainTask[]> {
  const taskType = typeof type === "object" ? type.type : (type ?? "");
  const { tasks } = await client.tasks.listTasks({
    ...{ states, taskType, pageSize: 1000 },
    ...{ queue: filter.queue ?? "", workerId: filter.workerId ?? "" },
  });
  const plain = tasks.map((task) => plainTask(task));
  return id === undefined ? plain : plain.filter((task) => task.id === id);
}

async function described(
  client: Client,
  filter: TaskFilter,
  wanted: readonly TaskStateName[],
  timeoutS: number,
): Promise<string> {
  // Without the worker: where the task is instead is what a reader wants to know.
  const { workerId: _, ...anywhere } = filter;
  const seen = await listed(client, anywhere, []);
  const what = [
    filter.id === undefined ? "" : ` ${filter.id}`,
    filter.type === undefined
      ? ""
      : ` of type ${typeof filter.type === "object" ? filter.type.type : filter.type}`,
    filter.queue === undefined ? "" : ` in the queue ${filter.queue}`,
    filter.workerId === undefined ? "" : ` of the worker ${filter.workerId}`,
  ].join("");
  const lines = [`No task${what} was ${wanted.join(" or ")} within ${timeoutS} s.`];
  const [newest] = seen;
  if (newest === undefined) {
    const others = await listed(client, { state: [] }, []);
    const types = [...new Set(others.map((task) => task.type))];
    lines.push(
      types.length === 0
        ? "There is no task at all."
        : `There is no such task; there are tasks of the types ${types.slice(0, NAMED_TASKS).join(", ")}.`,
    );
    return lines.join(" ");
  }
  const named = seen.slice(0, NAMED_TASKS).map(nameOf);
  const more = seen.length > named.length ? ` and ${seen.length - named.length} more` : "";
  lines.push(`Instead: ${named.join(", ")}${more}.`);
  const { explanation } = await client.tasks.explainTask({ taskId: newest.id });
  const reasons = (explanation?.reasons ?? [])
    .slice(0, NAMED_REASONS)
    .map(({ code, summary, remedy }) =>
      [`\n  ${code}: ${summary}`, remedy === "" ? "" : `\n    -> ${remedy}`].join(""),
    );
  if (reasons.length > 0) lines.push(`\nmuster why ${newest.id}:${reasons.join("")}`);
  return lines.join(" ");
}

function nameOf({ id, state, failure, attemptCount }: PlainTask): string {
  const why = failure === undefined ? "" : ` with ${failure.code}: ${failure.message}`;
  return `${id} is ${state}${why} (${attemptCount} ${attemptCount === 1 ? "attempt" : "attempts"})`;
}
