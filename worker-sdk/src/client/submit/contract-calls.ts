/** Submits of defined tasks: checks inputs, applies defaults, and reads results and declared errors. */
import type { Task } from "@muster/protocol";
import { plainTask, TaskState } from "@muster/protocol";
import { messageOf } from "../../attempt/failure/classify.ts";
import { isBytes, jsonTextOf } from "../../attempt/json-form.ts";
import { InvalidPayloadError, InvalidResultError } from "../../contract/contract-errors.ts";
import { readDetails } from "../../contract/declared-errors.ts";
import { type Checked, check, type Schema, type SchemaIssue } from "../../contract/schema.ts";
import type { ContractParts } from "../../contract/task-contract.ts";
import { TaskFailedError } from "../errors.ts";
import { outputOf } from "../follow/task-result.ts";
import type { SubmitOptions, SubmitSpec } from "./submit-spec.ts";

/** Options of which only one may be given: that of a submit replaces the default of the other. */
const EXCLUSIVE: readonly (readonly [keyof SubmitOptions, keyof SubmitOptions])[] = [
  ["uniqueKey", "unique"],
  ["delayS", "runTime"],
];

/**
 * The tasks that a submit of these inputs asks for. An option that is given replaces the default as a whole.
 *
 * @throws InvalidPayloadError with the issues of all inputs, TypeError when an input has no JSON form or the task is not a
 * definition.
 */
export async function specsOf(
  task: ContractParts,
  inputs: unknown,
  options: SubmitOptions,
): Promise<SubmitSpec[]> {
  checkContract(task);
  if (!Array.isArray(inputs))
    throw new TypeError(
      `Task ${task.type}: submitMany(task, inputs) takes a list of inputs, not ${typeof inputs}.`,
    );
  const specs: SubmitSpec[] = [];
  const issues: SchemaIssue[] = [];
  let remedy = "";
  for (const [index, input] of inputs.entries()) {
    const sent = sentForm(task.type, input, options);
    const checked = await checkSent(task, sent.seen);
    if (checked.issues === undefined) {
      specs.push({
        ...defaultsFor(task, checked.value, options),
        type: task.type,
        payload: sent.payload,
        ...(sent.contentType === undefined ? {} : { contentType: sent.contentType }),
      });
      continue;
    }
    if (await fitsAsItIs(task.input, input))
      remedy =
        "it would fit, but is sent as JSON, in which a Date is a text: let the schema accept that form";
    for (const { path, message } of checked.issues)
      issues.push({ path: placed(path, index, inputs), message });
  }
  if (issues.length > 0) throw new InvalidPayloadError(task.type, issues, remedy);
  return specs;
}

/**
 * The result of a task that has ended, as the schema returns it.
 *
 * @throws InvalidResultError, and TaskFailedError or TaskCancelledError when the task ended so.
 */
export async function resultOf<Output>(task: ContractParts, ended: Task): Promise<Output> {
  if (ended.state === TaskState.FAILED) {
    const failed = plainTask(ended);
    const error = new TaskFailedError(failed);
    const read = readDetails(task.errors, error.code, error.details);
    throw read === undefined ? error : new TaskFailedError(failed, { by: task.type, details: read.details });
  }
  const value = outputOf<Output>(ended);
  if (task.output === undefined) return value;
  const checked = await checkWith(task.output, value);
  if (checked.issues !== undefined) throw new InvalidResultError(ended.id, task.type, checked.issues);
  return checked.value as Output;
}

/** @throws TypeError for what `defineTask` did not make; programs without types may give anything. */
function checkContract(task: ContractParts): void {
  const { type, defaults } = Object(task);
  if (typeof type === "string" && typeof defaults === "object") return;
  throw new TypeError(
    "A submit takes a task type, or a definition with a type: defineTask({ type, input, output }) has no handler.",
  );
}

/** An input as it is sent, and as its worker sees it. */
interface Sent {
  readonly payload: unknown;
  readonly contentType: string | undefined;
  readonly seen: unknown;
}

function sentForm(type: string, input: unknown, { contentType }: SubmitOptions): Sent {
  if (isBytes(input)) return { payload: input, contentType, seen: input };
  const text = jsonTextOf(type, input);
  return {
    payload: Buffer.from(text, "utf8"),
    contentType: contentType ?? "application/json",
    seen: JSON.parse(text),
  };
}

function checkSent(task: ContractParts, seen: unknown): Checked | Promise<Checked> {
  return task.input === undefined ? { value: seen } : checkWith(task.input, seen);
}

async function checkWith(schema: Schema, value: unknown): Promise<Checked> {
  try {
    return await check(schema, value);
  } catch (error) {
    return { issues: [{ path: "", message: `the schema itself threw: ${messageOf(error)}` }] };
  }
}

async function fitsAsItIs(schema: Schema | undefined, input: unknown): Promise<boolean> {
  return schema !== undefined && (await checkWith(schema, input)).issues === undefined;
}

function placed(path: string, index: number, inputs: readonly unknown[]): string {
  if (inputs.length === 1) return path;
  return path === "" ? `[${index}]` : `[${index}].${path}`;
}

function defaultsFor(task: ContractParts, input: unknown, options: SubmitOptions): SubmitOptions {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const merged = new Map<string, unknown>(given);
  for (const [name, value] of Object.entries(task.defaults)) {
    if (merged.has(name) || isReplaced(name, merged)) continue;
    const made =
      typeof value === "function"
        ? computed(task.type, name, () => Reflect.apply(value, undefined, [input]))
        : value;
    if (made !== undefined) merged.set(name, made);
  }
  return Object.fromEntries(merged);
}

/** True when the submit gives the option that excludes this one. */
function isReplaced(name: string, given: ReadonlyMap<string, unknown>): boolean {
  return EXCLUSIVE.some(
    ([one, other]) => (name === one && given.has(other)) || (name === other && given.has(one)),
  );
}

function computed<T>(type: string, option: string, make: () => T): T {
  let made: T;
  try {
    made = make();
  } catch (error) {
    throw new TypeError(`Task ${type}: the definition's function for ${option} threw: ${messageOf(error)}`, {
      cause: error,
    });
  }
  if (made instanceof Promise)
    throw new TypeError(
      `Task ${type}: the definition's function for ${option} returned a promise; it has to return the option itself.`,
    );
  return made;
}
