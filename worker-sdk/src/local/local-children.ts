/** Runs the children of tasks that are run without a scheduler: by the worker's own handlers, or by answers of a test. */
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { FailureClass, type Task, TaskSchema, TaskState } from "@muster/protocol";
import type { ChildOptions } from "../attempt/children/child-options.ts";
import type { Parent, StartedChild } from "../attempt/children/parent.ts";
import { classifyError } from "../attempt/failure/classify.ts";
import { isBytes } from "../attempt/json-form.ts";
import type { ContractParts } from "../contract/task-contract.ts";
import type { LocalRun } from "./local-run.ts";
import type { LocalChild, RunFailure, RunOutcome } from "./run-record.ts";

/** Answers, by task type, for children that the worker has no handler for; what one throws fails the child. */
export type ChildAnswers = Readonly<Record<string, (input: unknown) => unknown>>;

/** What children need of the worker. */
export interface LocalChildrenParts {
  readonly types: ReadonlySet<string>;
  readonly answers: ChildAnswers;
  readonly start: (
    type: string,
    input: unknown,
    options: ChildOptions,
  ) => Pick<LocalRun, "ended"> & { readonly taskId: string };
  readonly started: (parentId: string, child: LocalChild) => void;
  readonly nextId: () => string;
}

interface Known {
  readonly id: string;
  readonly ended: Promise<Task>;
  state: "open" | "succeeded" | "failed";
}

const CLASSES: Readonly<Record<RunFailure["class"], FailureClass>> = {
  retryable: FailureClass.RETRYABLE,
  non_retryable: FailureClass.NON_RETRYABLE,
  timed_out: FailureClass.TIMED_OUT,
  out_of_memory: FailureClass.OUT_OF_MEMORY,
};

export class LocalChildren {
  readonly #parts: LocalChildrenParts;
  /** By parent and name: another attempt of the parent gets the child that is there. */
  readonly #known = new Map<string, Known>();

  constructor(parts: LocalChildrenParts) {
    this.#parts = parts;
  }

  /** @throws as `Client.submit` does for an input or a definition; Error for a type without a handler or an answer. */
  async start(
    parent: Parent,
    task: string | ContractParts,
    payload: unknown,
    options: ChildOptions,
  ): Promise<StartedChild> {
    parent.signal.throwIfAborted();
    // The client is loaded with the first child, as in a started worker.
    const { specsOf, resultOf } = await import("../client/submit/contract-calls.ts");
    const { outputOf } = await import("../client/follow/task-result.ts");
    const type = typeof task === "string" ? task : task.type;
    const [spec] = typeof task === "string" ? [{ payload }] : await specsOf(task, [payload], options);
    const sent = readable(spec?.payload);
    const key = options.name === undefined ? undefined : `${parent.taskId}/${options.name}`;
    const before = key === undefined ? undefined : this.#known.get(key);
    const child = before && before.state !== "failed" ? before : this.#begin(type, sent, options);
    if (key !== undefined) this.#known.set(key, child);
    if (child !== before) this.#parts.started(parent.taskId, { id: child.id, type, input: sent });
    return {
      id: child.id,
      succeeded: child.state === "succeeded",
      result: async (signal) => {
        const ended = await abortable(child.ended, signal);
        return typeof task === "string" ? outputOf(ended) : resultOf(task, ended);
      },
    };
  }

  #begin(type: string, input: unknown, options: ChildOptions): Known {
    const { types, answers, start, nextId } = this.#parts;
    if (types.has(type)) {
      const run = start(type, input, options);
      return follow(
        run.taskId,
        run.ended.then((outcome) => taskOf(run.taskId, type, outcome)),
      );
    }
    const answer = Object.hasOwn(answers, type) ? answers[type] : undefined;
    if (answer === undefined)
      throw new Error(
        `ctx.run("${type}"): the worker has no handler for the type, and this run has no scheduler; give testWorker() an answer: { children: { "${type}": (input) => ... } }`,
      );
    const id = nextId();
    return follow(
      id,
      answered(id, type, () => answer(input)),
    );
  }
}

function follow(id: string, ended: Promise<Task>): Known {
  const known: Known = { id, ended, state: "open" };
  ended.then(
    ({ state }) => {
      known.state = state === TaskState.SUCCEEDED ? "succeeded" : "failed";
    },
    () => {
      // The handler that waits for it gets the error.
      known.state = "failed";
    },
  );
  return known;
}

async function answered(id: string, type: string, answer: () => unknown): Promise<Task> {
  try {
    return endedTask(id, type, { state: TaskState.SUCCEEDED, ...outputBytes(await answer()) });
  } catch (error) {
    const { failureClass, code, message, details = "" } = classifyError(error, undefined);
    return failedTask(id, type, { failureClass: CLASSES[failureClass], code, message, details });
  }
}

function taskOf(id: string, type: string, outcome: RunOutcome): Task {
  switch (outcome.state) {
    case "succeeded":
      return endedTask(id, type, {
        state: TaskState.SUCCEEDED,
        ...outputBytes(outcome.output),
        outputContentType: outcome.contentType,
      });
    case "failed": {
      const { class: kind = "retryable", code = "", message = "", details } = outcome.failure ?? {};
      const text = details === undefined ? "" : JSON.stringify(details);
      return failedTask(id, type, { failureClass: CLASSES[kind], code, message, details: text });
    }
    default:
      return endedTask(id, type, { state: TaskState.CANCELLED, cancelReason: outcome.message });
  }
}

function endedTask(id: string, taskType: string, fields: MessageInitShape<typeof TaskSchema>): Task {
  return create(TaskSchema, { id, taskType, queue: "default", ...fields });
}

function failedTask(
  id: string,
  type: string,
  failure: NonNullable<MessageInitShape<typeof TaskSchema>["failure"]> & { readonly code: string },
): Task {
  return endedTask(id, type, { state: TaskState.FAILED, detail: failure.code, failure });
}

function outputBytes(value: unknown) {
  return isBytes(value)
    ? { output: new Uint8Array(value), outputContentType: "application/octet-stream" }
    : { output: Buffer.from(JSON.stringify(value ?? null)), outputContentType: "application/json" };
}

/** The input as the child's handler sees it. */
function readable(payload: unknown): unknown {
  if (isBytes(payload)) {
    try {
      return JSON.parse(Buffer.from(payload).toString("utf8"));
    } catch {
      return payload;
    }
  }
  return JSON.parse(JSON.stringify(payload ?? null));
}

function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}
