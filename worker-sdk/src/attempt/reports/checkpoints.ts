/** Checkpoints that a handler stores, and the one of an earlier attempt that it goes on from. */
import { MAX_CHECKPOINT_BYTES } from "@muster/protocol/constants";
import { CheckpointError } from "../../errors.ts";
import type { AssignmentMessage } from "../../link/assignment.ts";
import type { Link } from "../../link/link.ts";
import type { FromLink } from "../../link/messages.ts";
import { messageOf } from "../failure/classify.ts";
import { findJsonFault, isBytes } from "../json-form.ts";

interface Pending {
  readonly sequence: number;
  readonly resolve: () => void;
  readonly reject: (error: CheckpointError) => void;
}

/** The checkpoints of one attempt, from the first one on until the attempt ends. */
export class Checkpoints {
  readonly #attemptId: string;
  readonly #link: Pick<Link, "send" | "flush">;
  /** In the order of their numbers. */
  #pending: Pending[] = [];
  #last = 0;

  constructor(attemptId: string, link: Pick<Link, "send" | "flush">) {
    this.#attemptId = attemptId;
    this.#link = link;
  }

  /**
   * Sends a checkpoint; resolves when it, or a later one, is durable.
   *
   * @throws TypeError when it has no JSON form, RangeError when it is too large.
   */
  put(given: unknown): Promise<void> {
    const { value, contentType } = formOf(given);
    this.#last += 1;
    const sequence = this.#last;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#pending.push({ sequence, resolve, reject });
    // A handler need not wait for it: then a refusal must not end the process.
    promise.catch(() => undefined);
    this.#link.send({ kind: "checkpoint", attemptId: this.#attemptId, sequence, value, contentType });
    // A handler that computes without a pause blocks the loop, which would otherwise post this.
    this.#link.flush();
    return promise;
  }

  /** The scheduler has answered this one, and those before it. */
  answered({ sequence, error }: Extract<FromLink, { kind: "checkpointAnswered" }>): void {
    const answered = this.#pending.filter((each) => each.sequence <= sequence);
    this.#pending = this.#pending.filter((each) => each.sequence > sequence);
    for (const { resolve, reject } of answered) {
      if (error === "") resolve();
      else reject(new CheckpointError(`The checkpoint was not stored: ${error}.`));
    }
  }

  /** The attempt has ended, or is no longer this worker's. */
  close(why: string): void {
    for (const { reject } of this.#pending.splice(0))
      reject(new CheckpointError(`It is not known whether the checkpoint was stored: ${why}.`));
  }
}

/** The value that an earlier attempt stored; undefined when none did. */
export function resumeValue(point: AssignmentMessage["resumePoint"]): unknown {
  if (point === undefined) return undefined;
  if (typeof point.value !== "string") return point.value;
  try {
    return JSON.parse(point.value);
  } catch {
    // The parser's message quotes the value, which must not be logged.
    throw new TypeError(
      `resumeFrom: the checkpoint says application/json but does not parse (${point.value.length} characters); run muster retry --afresh, or have the worker that stores it send JSON`,
    );
  }
}

function formOf(given: unknown): { value: string | Uint8Array; contentType: string } {
  if (isBytes(given)) {
    checkSize(given.byteLength);
    // A copy: cloning a view copies the whole buffer below it.
    return { value: new Uint8Array(given), contentType: "application/octet-stream" };
  }
  let value: string | undefined;
  try {
    value = JSON.stringify(given);
  } catch (error) {
    throw new TypeError(`checkpoint(): the value has no JSON form: ${messageOf(error)}`);
  }
  const fault = findJsonFault(given);
  if (fault !== undefined || value === undefined) {
    const { what, instead } = fault ?? {
      what: given === undefined ? "undefined" : `a ${typeof given}`,
      instead: "text, numbers, lists, plain objects, or a Uint8Array",
    };
    throw new TypeError(`checkpoint(): the value is or has ${what}, which has no JSON form; give ${instead}`);
  }
  checkSize(Buffer.byteLength(value));
  return { value, contentType: "application/json" };
}

function checkSize(bytes: number): void {
  if (bytes <= MAX_CHECKPOINT_BYTES) return;
  throw new RangeError(
    `checkpoint(): the value has ${bytes} bytes, and at most ${MAX_CHECKPOINT_BYTES} are stored; keep large data elsewhere and store a reference`,
  );
}
