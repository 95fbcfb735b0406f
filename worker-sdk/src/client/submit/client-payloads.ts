/** Encodes payloads of submits and decodes results, by the option `payloads`. */
import { Code } from "@connectrpc/connect";
import type { SubmittedTask, Task, TaskSpec } from "@muster/protocol";
import { type PlainContent, type PlainTask, plainContent, TaskState } from "@muster/protocol";
import { systemClock } from "../../clock.ts";
import { isEncoded } from "../../payloads/envelope.ts";
import { type Belonging, type Content, notDecodable, PayloadCoder } from "../../payloads/payload-coder.ts";
import type { PayloadSettings } from "../../payloads/payload-options.ts";
import { MusterError } from "../errors.ts";

/** Contents that are encoded at once: each may be in memory twice, and in a request to the store. */
const MAX_AT_ONCE = 8;

/** Shortest time between two warnings of objects that were not removed. */
const WARN_EVERY_MS = 60_000;

/** Refusals after which no task can have been accepted. Any other error leaves that open. */
const REFUSED: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.ResourceExhausted,
  Code.NotFound,
  Code.PermissionDenied,
  Code.Unauthenticated,
]);

/** The payloads of a client. */
export class ClientPayloads {
  readonly #coder: PayloadCoder;
  #warnedMs = Number.NEGATIVE_INFINITY;

  constructor(settings: PayloadSettings) {
    this.#coder = new PayloadCoder(settings);
  }

  /** Encodes the payloads, submits, and removes the objects that no task refers to. */
  async submit<Submitted extends SubmittedTask | undefined>(
    specs: readonly TaskSpec[],
    signal: AbortSignal | undefined,
    submit: () => Promise<readonly Submitted[]>,
  ): Promise<readonly Submitted[]> {
    let objects: readonly (string | undefined)[] = [];
    const submitted = await this.around(specs, signal, (made) => {
      objects = made;
      return submit();
    });
    // An earlier task has the unique key, and its own payload.
    await this.#discard(objects.filter((_, index) => submitted[index]?.duplicate));
    return submitted;
  }

  /** Encodes the payloads, makes a call that brings them, and removes their objects when it is refused. */
  async around<Answer>(
    specs: readonly TaskSpec[],
    signal: AbortSignal | undefined,
    call: (objects: readonly (string | undefined)[]) => Promise<Answer>,
  ): Promise<Answer> {
    const objects = await this.encode(specs, signal);
    try {
      return await call(objects);
    } catch (error) {
      if (error instanceof MusterError && REFUSED.has(error.code)) await this.#discard(objects);
      throw error;
    }
  }

  /**
   * Encodes the payloads of specs in place; returns the keys of the objects that were made, in the same order.
   *
   * @param keepHere True: none is put into a store.
   */
  async encode(
    specs: readonly TaskSpec[],
    signal?: AbortSignal,
    keepHere = false,
  ): Promise<(string | undefined)[]> {
    const objects: (string | undefined)[] = specs.map(() => undefined);
    let next = 0;
    const encodeNext = async (): Promise<void> => {
      for (let index = next++; index < specs.length; index = next++) {
        const spec = specs[index];
        if (spec !== undefined) objects[index] = await this.#encodeOne(spec, signal, keepHere);
      }
    };
    const workers = Array.from({ length: Math.min(MAX_AT_ONCE, specs.length) }, () =>
      encodeNext().catch((error: unknown) => {
        // The others end with what they have begun.
        next = specs.length;
        throw error;
      }),
    );
    const failed = (await Promise.allSettled(workers)).find(({ status }) => status === "rejected");
    if (failed?.status !== "rejected") return objects;
    await this.#discard(objects);
    throw failed.reason;
  }

  /** The task with its output decoded. @throws PayloadError. */
  async decodeOutput(task: Task, signal?: AbortSignal): Promise<Task> {
    if (task.state !== TaskState.SUCCEEDED || !isEncoded(task.outputContentType)) return task;
    const encoded = { bytes: task.output, contentType: task.outputContentType };
    const belonging = { direction: "result", taskType: task.taskType, taskId: task.id } as const;
    const { bytes, contentType } = await this.#coder.decode(encoded, belonging, { signal });
    return { ...task, output: new Uint8Array(bytes), outputContentType: contentType };
  }

  /** A payload or result of a task, decoded. @throws PayloadError. */
  async decodeContent(
    { data = new Uint8Array(), contentType }: PlainContent,
    belonging: Belonging,
    signal: AbortSignal | undefined,
  ): Promise<PlainContent> {
    const decoded = await this.#coder.decode({ bytes: data, contentType }, belonging, { signal });
    return plainContent(new Uint8Array(decoded.bytes), decoded.contentType);
  }

  async #encodeOne(spec: TaskSpec, signal: AbortSignal | undefined, keepHere: boolean) {
    const content: Content = { bytes: spec.payload, contentType: spec.contentType || "application/json" };
    const belonging = { direction: "payload", taskType: spec.taskType, taskId: "" } as const;
    const { bytes, contentType, objectKey } = await this.#coder.encode(content, belonging, {
      signal,
      keepHere,
    });
    if (bytes === content.bytes) return undefined;
    spec.payload = new Uint8Array(bytes);
    spec.contentType = contentType;
    return objectKey;
  }

  /**
   * What cannot be removed now is removed by its age. The caller gets the outcome of its submit; that the store failed is a
   * warning of the process.
   */
  async #discard(objects: readonly (string | undefined)[]): Promise<void> {
    try {
      await this.#coder.discard(objects);
    } catch (error) {
      const nowMs = systemClock.monotonicMs();
      if (nowMs - this.#warnedMs < WARN_EVERY_MS) return;
      this.#warnedMs = nowMs;
      const what = error instanceof Error ? error.message : String(error);
      process.emitWarning(`${what}; cleanPayloads() removes it by its age. Said once a minute.`, {
        code: "MUSTER_PAYLOAD_KEPT",
      });
    }
  }
}

/** Decodes what is encoded of a task, and was read with it. @throws PayloadError. */
export async function decodeTask(
  task: PlainTask,
  payloads: ClientPayloads | undefined,
  signal?: AbortSignal,
): Promise<PlainTask> {
  const decoded = async (direction: "payload" | "result") => {
    const content = task[direction];
    if (content?.data === undefined || !isEncoded(content.contentType)) return {};
    if (payloads === undefined) throw notDecodable(direction);
    // A payload is encoded before its task has an id.
    const belonging = { direction, taskType: task.type, taskId: direction === "payload" ? "" : task.id };
    return { [direction]: await payloads.decodeContent(content, belonging, signal) };
  };
  return { ...task, ...(await decoded("payload")), ...(await decoded("result")) };
}
