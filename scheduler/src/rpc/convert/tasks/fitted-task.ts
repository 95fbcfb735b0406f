/** Shortens a task to the size of a message. */
import { toBinary } from "@bufbuild/protobuf";
import { TaskSchema } from "@muster/protocol";
import type { RetryPolicies } from "../../../dispatch/attempts/retry-policies.ts";
import type { Attempts, TaskRecord } from "../../../domain/tasks/task.ts";
import { mostBytes } from "../values/message-size.ts";
import { fromTask } from "./task.ts";

/** What a message needs besides its task. */
const ENVELOPE_BYTES = 4_096;

/** Attempts at either end that stay when those between them have to go. */
const END_ATTEMPTS = 5;

type Message = ReturnType<typeof fromTask>;

/** Ways to make a task smaller, the least missed first; each names what it leaves out. */
const CUTS: readonly { readonly field: string; readonly cut: (task: Message) => void }[] = [
  { field: "attempts.failure.traceback", cut: dropTracebacks },
  { field: "attempts", cut: cutAttempts },
  { field: "payload", cut: replace({ payload: new Uint8Array() }) },
  { field: "failure.traceback", cut: ({ failure }) => failure && Object.assign(failure, { traceback: "" }) },
  { field: "warnings", cut: (task) => task.warnings.splice(10) },
  { field: "warnings", cut: replace({ warnings: [] }) },
  { field: "requirements", cut: replace({ requirements: undefined }) },
  { field: "headers", cut: replace({ headers: {} }) },
  { field: "timeouts", cut: replace({ timeouts: undefined }) },
  { field: "watchdogs", cut: replace({ watchdogs: undefined }) },
  { field: "metrics", cut: replace({ metrics: undefined }) },
  { field: "output", cut: replace({ output: new Uint8Array() }) },
];

function replace(fields: object): (task: Message) => void {
  return (task) => Object.assign(task, fields);
}

/** A task in protobuf, in a message of at most `maxBytes`: what does not fit is left out and named. */
export function fittedTask(
  task: TaskRecord,
  retryPolicies: Pick<RetryPolicies, "resolve">,
  attempts: Attempts | undefined,
  maxBytes: number,
): Message {
  const retry = retryPolicies.resolve(task.options, task.queue);
  const message = fromTask(task, retry, attempts);
  const room = maxBytes - ENVELOPE_BYTES;
  for (const { field, cut } of CUTS) {
    // The estimate is too high: measure before cutting.
    if (mostBytes(message) <= room || toBinary(TaskSchema, message).byteLength <= room) break;
    const before = mostBytes(message);
    cut(message);
    if (mostBytes(message) < before && !message.omittedFields.includes(field))
      message.omittedFields.push(field);
  }
  return message;
}

function dropTracebacks(task: Message): void {
  for (const { failure } of task.attempts) if (failure) failure.traceback = "";
}

function cutAttempts(task: Message): void {
  const left = task.attempts.length - 2 * END_ATTEMPTS;
  if (left <= 0) return;
  task.attempts.splice(END_ATTEMPTS, left);
  task.omittedAttemptCount += left;
}
