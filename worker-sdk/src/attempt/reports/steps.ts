/** Named steps of a handler: what an attempt has done, the next one does not do again. */

import { inspect } from "node:util";
import { PHASE_NAME } from "@muster/common/text/name-forms";
import { cutWellFormed } from "@muster/common/text/text";
import { MAX_STEP_RESULT_BYTES, MAX_STEPS, MAX_STEPS_BYTES } from "@muster/protocol/constants";
import { sleep } from "../../clock.ts";
import { NonRetryableError } from "../../errors.ts";
import type { KeptStep } from "../../link/assignment.ts";
import { checkKnown, type OptionNames } from "../../options/known-options.ts";
import type { AttemptHost } from "../attempt-host.ts";
import type { TaskContext } from "../context.ts";
import { classifyError, messageOf } from "../failure/classify.ts";
import { readThrownPromise } from "../failure/thrown-promise.ts";
import { findJsonFault } from "../json-form.ts";
import type { StepOptions } from "./step-options.ts";

const NAMES: OptionNames<StepOptions> = { optional: true, retry: true };
const RETRY_NAMES: OptionNames<NonNullable<StepOptions["retry"]>> = { count: true, delayS: true };

/** Most further runs of a step within an attempt, and the longest wait before one, seconds. */
const MAX_RETRIES = 100;
const MAX_DELAY_S = 86_400;

/** Longest message of a failed step. */
const MAX_MESSAGE = 1024;

/** What a step takes of the bytes of a task besides its texts. */
const STEP_OVERHEAD_BYTES = 128;

/** What steps use of their attempt. */
export interface SteppingAttempt extends Pick<TaskContext, "phase" | "signal" | "warn" | "log"> {
  readonly id: string;
  readonly assignment: { readonly steps: readonly KeptStep[] };
  /** The first request to stop; undefined while there is none. */
  readonly stop: unknown;
}

/** What they use of the worker. */
export type StepsHost = Pick<AttemptHost, "clock"> & {
  readonly link: Pick<AttemptHost["link"], "send" | "flush">;
};

/** The steps of one attempt; made at the first one. */
export class Steps {
  readonly #attempt: SteppingAttempt;
  readonly #host: StepsHost;
  /** Steps of earlier attempts, and what this one has made of them. */
  readonly #known: Map<string, Omit<KeptStep, "skip"> & { readonly skip?: boolean }>;
  /** Names that this attempt has used. */
  readonly #used = new Set<string>();

  constructor(attempt: SteppingAttempt, host: StepsHost) {
    this.#attempt = attempt;
    this.#host = host;
    this.#known = new Map(attempt.assignment.steps.map((step) => [step.name, step]));
  }

  /** Runs a step, or answers with the result of an earlier attempt. */
  async run<T>(name: string, fn: () => T | Promise<T>, options: StepOptions): Promise<T | undefined> {
    const { optional, count, delayS } = checked(name, fn, options);
    if (this.#used.has(name))
      throw new TypeError(
        `step(): "${name}" was used in this attempt already; give every step a name of its own`,
      );
    this.#used.add(name);
    const known = this.#known.get(name);
    if (known?.state === "done") return JSON.parse(known.result) as T;
    if (known?.skip && optional) {
      this.#attempt.warn({ step: name, code: known.code, message: known.message });
      return undefined;
    }
    if (known === undefined && this.#known.size >= MAX_STEPS)
      throw new NonRetryableError(
        `step(): "${name}" is one too many; a task has at most ${MAX_STEPS} steps`,
        {
          code: "TOO_MANY_STEPS",
        },
      );
    this.#attempt.signal.throwIfAborted();
    this.#report({ name, state: "pending", optional, result: "", code: "", message: "" });
    let value: T;
    try {
      value = await this.#attempt.phase(name, () => this.#tried(name, fn, count, delayS));
    } catch (error) {
      // It was asked to stop: the step did not fail, and the next attempt runs it again.
      if (this.#attempt.stop !== undefined) throw error;
      const { code, message } = classifyError(error, undefined);
      this.#failed(name, optional, code, message);
      if (!optional) throw error;
      this.#attempt.warn({ step: name, code, message });
      return undefined;
    }
    const result = this.#json(name, value, optional);
    this.#report({ name, state: "done", optional, result, code: "", message: "" });
    return JSON.parse(result) as T;
  }

  async #tried<T>(name: string, fn: () => T | Promise<T>, count: number, delayS: number): Promise<T> {
    for (let left = count; ; left--) {
      try {
        return await fn();
      } catch (thrown) {
        const { error } = await readThrownPromise(thrown);
        if (left === 0 || error instanceof NonRetryableError || this.#attempt.stop !== undefined) throw error;
        const fields = {
          event: "task.step.retry",
          step: name,
          left,
          delay_s: delayS,
          error: messageOf(error),
        };
        this.#attempt.log.warn(fields, "the step failed and runs again");
        await sleep(delayS * 1000, this.#attempt.signal, this.#host.clock);
      }
    }
  }

  /** The result as it is kept. Both the first and later attempts get it in this form. */
  #json(name: string, value: unknown, optional: boolean): string {
    let text: string | undefined;
    let fault: string | undefined;
    try {
      text = JSON.stringify(value === undefined ? null : value);
      const found = findJsonFault(value);
      if (found !== undefined)
        fault = `is or has ${found.what}, which has no JSON form; return ${found.instead}`;
      else if (text === undefined) fault = `is a ${typeof value}, which has no JSON form`;
    } catch (error) {
      fault = `has no JSON form: ${messageOf(error)}`;
    }
    const bytes = text === undefined ? 0 : Buffer.byteLength(text);
    if (fault === undefined && bytes > MAX_STEP_RESULT_BYTES)
      fault = `has ${bytes} bytes, and at most ${MAX_STEP_RESULT_BYTES} are kept; store it elsewhere and return a reference`;
    const all = this.#bytesWithout(name) + bytes;
    if (fault === undefined && all > MAX_STEPS_BYTES)
      fault = `takes the steps of the task to ${all} bytes, and at most ${MAX_STEPS_BYTES} are kept; return less`;
    if (fault === undefined && text !== undefined) return text;
    const message = `The result of the step ${name} ${fault}.`;
    this.#failed(name, optional, "STEP_RESULT_INVALID", message);
    throw new NonRetryableError(message, { code: "STEP_RESULT_INVALID" });
  }

  #bytesWithout(name: string): number {
    let bytes = STEP_OVERHEAD_BYTES + name.length;
    for (const [other, { result, code, message }] of this.#known)
      if (other !== name)
        bytes +=
          STEP_OVERHEAD_BYTES +
          other.length +
          code.length +
          Buffer.byteLength(result) +
          Buffer.byteLength(message);
    return bytes;
  }

  #failed(name: string, optional: boolean, code: string, message: string): void {
    const text = cutWellFormed(message, MAX_MESSAGE);
    this.#report({ name, state: "failed", optional, result: "", code, message: text });
  }

  #report(step: Omit<KeptStep, "skip">): void {
    this.#known.set(step.name, step);
    const { link } = this.#host;
    link.send({ kind: "step", attemptId: this.#attempt.id, step });
    // What follows may block the loop, or end the process.
    link.flush();
  }
}

/** @throws TypeError, RangeError when an argument is not valid. */
function checked(
  name: string,
  fn: unknown,
  options: StepOptions,
): { readonly optional: boolean; readonly count: number; readonly delayS: number } {
  if (typeof name !== "string" || !PHASE_NAME.test(name))
    throw new TypeError(`step(): the name ${inspect(name)} must match ${PHASE_NAME.source}`);
  if (typeof fn !== "function") throw new TypeError(`step("${name}"): needs a function, not ${inspect(fn)}`);
  checkKnown(`step("${name}")`, options, NAMES);
  checkKnown(`step("${name}")`, options.retry, RETRY_NAMES, "retry.");
  const { optional = false, retry } = options;
  if (typeof optional !== "boolean")
    throw new TypeError(`step("${name}"): option optional: ${inspect(optional)} is not true or false`);
  const { count = 0, delayS = 1 } = retry ?? {};
  if (!Number.isInteger(count) || count < 0 || count > MAX_RETRIES)
    throw new RangeError(
      `step("${name}"): option retry.count: ${inspect(count)} is not an integer from 0 to ${MAX_RETRIES}`,
    );
  if (!(typeof delayS === "number" && delayS >= 0 && delayS <= MAX_DELAY_S))
    throw new RangeError(
      `step("${name}"): option retry.delayS: ${inspect(delayS)} is not a number of seconds from 0 to ${MAX_DELAY_S}`,
    );
  return { optional, count, delayS };
}
