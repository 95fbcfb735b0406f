/** A task as a plain object. */
import type { Failure, FailureClass } from "../generated/muster/v1/failure_pb.ts";
import type { TaskStep } from "../generated/muster/v1/step_pb.ts";
import type { Attempt, Task, TaskState } from "../generated/muster/v1/task_pb.ts";
import { TaskSchema } from "../generated/muster/v1/task_pb.ts";
import { readContent } from "./content.ts";
import { parentOf } from "./parent-tag.ts";
import { type EnumName, type Plain, plain } from "./plain.ts";

/** A state of a task: `queued`, `assigned`, `running`, `succeeded`, `failed` or `cancelled`. */
export type TaskStateName = EnumName<typeof TaskState>;

/** Why an attempt or a task failed. */
export interface PlainFailure extends Omit<Plain<Failure>, "details" | "facts" | "failureClass"> {
  readonly failureClass: EnumName<typeof FailureClass>;
  /** Facts about the failure for its caller, as its handler gave them; absent for none. */
  readonly details?: unknown;
  /** Small facts that its handler noted, by name; absent for none. */
  readonly facts?: Readonly<Record<string, number | string | boolean>>;
}

/** One try of a task on one worker. */
export interface PlainAttempt extends Omit<Plain<Attempt>, "failure"> {
  readonly failure?: PlainFailure;
}

/** A named step of a task's handler. */
export type PlainStep = Omit<Plain<TaskStep>, "result" | "skip">;

/** A payload or a result: its media type, its size, and its content where it is JSON or text. */
export interface PlainContent {
  /** Media type, for example `application/json`. */
  readonly contentType: string;
  /** Size in bytes. */
  readonly bytes: number;
  /** The value of JSON; absent for other content, and for one that was not read. */
  readonly json?: unknown;
  /** The text, where it is no JSON; absent for other content, and for one that was not read. */
  readonly text?: string;
  /** The bytes; absent for one that was not read. Not enumerable: `JSON.stringify` leaves them out. */
  readonly data?: Uint8Array;
}

/** The fields of a message that the plain task shows in another way. */
type Shown =
  | "attempts"
  | "failure"
  | "state"
  | "payload"
  | "payloadBytes"
  | "steps"
  | "contentType"
  | "output"
  | "outputBytes"
  | "outputContentType"
  | "taskType";

/** A task with readable members only; `JSON.stringify` writes it, dates as texts in ISO 8601. */
export interface PlainTask extends Omit<Plain<Task>, Shown> {
  /** Task type: the name of its handler. */
  readonly type: string;
  readonly state: TaskStateName;
  /** The task that submitted it as a child; absent for none. */
  readonly parentId?: string;
  /** Why it failed, or why its last attempt failed while it waits for a retry. */
  readonly failure?: PlainFailure;
  /** Earlier attempts, the oldest first; of many the first and the last. */
  readonly attempts: readonly PlainAttempt[];
  /** Named steps of its handler, in the order in which they began. */
  readonly steps: readonly PlainStep[];
  /** Its input. */
  readonly payload: PlainContent;
  /** Its result; absent unless it has succeeded. */
  readonly result?: PlainContent;
}

/** Reads the content of a task: of its payload or its result. */
export type ReadTaskContent = (bytes: Uint8Array, contentType: string) => Pick<PlainContent, "json" | "text">;

/** Fields whose names in `omittedFields` are those of the message. */
const OMITTED_NAMES: Readonly<Record<string, string>> = { output: "result" };

/**
 * The plain form of a task.
 *
 * @param read What is shown of a payload or a result that the message has; by default the value of JSON, and text.
 */
export function plainTask(task: Task, read: ReadTaskContent = readValue): PlainTask {
  const { payload, payloadBytes, contentType, output, outputBytes, outputContentType, ...fields } = plain(
    TaskSchema,
    task,
  );
  const { id, queue, state, taskType, failure, attempts, steps, omittedFields, ...others } = fields;
  const parentId = parentOf(others.tags);
  return {
    ...{ id, type: taskType, queue, state: state as TaskStateName },
    ...(parentId === undefined ? {} : { parentId }),
    ...others,
    ...(failure ? { failure: plainFailure(failure) } : {}),
    attempts: attempts.map(({ failure: why, ...attempt }) => ({
      ...attempt,
      ...(why ? { failure: plainFailure(why) } : {}),
    })),
    // Only assignments have what is left out.
    steps: steps.map(({ result: _, skip: __, ...step }) => step),
    payload: contentOf(payload, Number(payloadBytes), contentType, read),
    ...(outputContentType === ""
      ? {}
      : { result: contentOf(output, Number(outputBytes), outputContentType, read) }),
    omittedFields: omittedFields.map((name) => OMITTED_NAMES[name] ?? name),
  };
}

function readValue(bytes: Uint8Array, contentType: string): Pick<PlainContent, "json" | "text"> {
  const content = readContent(bytes, contentType);
  if (content.kind === "binary") return {};
  return content.kind === "json" ? { json: JSON.parse(content.text) } : { text: content.text };
}

/**
 * The plain form of a payload or a result.
 *
 * @param read What is shown of it; by default the value of JSON, and text.
 */
export function plainContent(
  data: Uint8Array,
  contentType: string,
  read: ReadTaskContent = readValue,
): PlainContent {
  return contentOf(data, data.byteLength, contentType, read);
}

function contentOf(
  data: Uint8Array,
  bytes: number,
  contentType: string,
  read: ReadTaskContent,
): PlainContent {
  if (data.byteLength !== bytes || bytes === 0) return { contentType, bytes };
  return Object.defineProperty({ contentType, bytes, ...read(data, contentType) }, "data", { value: data });
}

/** The plain form of a failure. */
export function plainFailure({ details, facts, failureClass, ...failure }: Plain<Failure>): PlainFailure {
  const noted = Object.entries(facts).flatMap(([name, { number, text, flag }]) => {
    const value = number ?? text ?? flag;
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    ...failure,
    failureClass: failureClass as PlainFailure["failureClass"],
    ...(details === "" ? {} : { details: parsed(details) }),
    ...(noted.length === 0 ? {} : { facts: Object.fromEntries(noted) }),
  };
}

/** Details are JSON; a worker in another language may send other text. */
function parsed(details: string): unknown {
  try {
    return JSON.parse(details);
  } catch {
    return details;
  }
}
