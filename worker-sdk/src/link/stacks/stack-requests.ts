/** Answers a scheduler that asks where the handlers are. */
import type { StackRequest, WorkerStack } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import type { WorkerMessageKind } from "../codec/wire.ts";
import type { FromLink, IsolatedStack } from "../messages.ts";
import type { InFlightAttempts } from "../outbox/in-flight.ts";
import type { SharedState } from "../shared.ts";
import type { LinkData } from "../thread-data.ts";

/** Requests that wait for one reading; a scheduler gives up after 10 s. */
const MAX_WAITING = 32;

/** The guard of an isolated handler answers within 1.5 s. */
const ISOLATED_MS = 2_500;

const SWITCHED_OFF =
  "reading stacks is switched off at this worker: WORKER_STACKS, or its option stacks, is false";

export interface StackRequestsParts {
  readonly clock: Pick<Clock, "after" | "monotonicMs">;
  readonly data: Pick<LinkData, "isolates" | "redactPatterns" | "stacks">;
  readonly shared: Pick<SharedState, "lastTickMs">;
  readonly attempts: InFlightAttempts;
  readonly send: (kind: WorkerMessageKind) => void;
  readonly emit: (message: FromLink) => void;
}

/** Reads once for all requests that come while a reading is under way. Costs nothing until the first request. */
export class StackRequests {
  readonly #parts: StackRequestsParts;
  #reading: Promise<WorkerStack> | undefined;
  #waiting = 0;
  #isolated: ((processes: readonly IsolatedStack[] | undefined) => void) | undefined;

  constructor(parts: StackRequestsParts) {
    this.#parts = parts;
  }

  /** A scheduler asks. */
  asked({ requestId, attemptId }: Pick<StackRequest, "attemptId" | "requestId">): void {
    void this.#answer(attemptId).then((answer) =>
      this.#parts.send({ case: "stackReport", value: { requestId, ...answer } }),
    );
  }

  /** The main thread has read where its isolated handlers are. */
  isolated(processes: readonly IsolatedStack[]): void {
    this.#isolated?.(processes);
  }

  async #answer(attemptId: string): Promise<{ error: string } | { stack: WorkerStack }> {
    const { attempts, data } = this.#parts;
    if (!data.stacks) return { error: SWITCHED_OFF };
    if (this.#waiting >= MAX_WAITING)
      return { error: `${MAX_WAITING} requests for the stacks of this worker are under way; ask again` };
    if (attemptId !== "" && attempts.get(attemptId) === undefined)
      return { error: `attempt ${attemptId} is not held by this worker any more` };
    this.#waiting += 1;
    try {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = undefined;
      });
      const { selected } = await import("./select-stack.ts");
      return { stack: selected(await this.#reading, attemptId) };
    } catch (error) {
      return {
        error: `the stacks cannot be read: ${error instanceof Error ? error.message : String(error)}`,
      };
    } finally {
      this.#waiting -= 1;
    }
  }

  async #read(): Promise<WorkerStack> {
    // Loaded when it is needed: most workers are never asked.
    const { readWorkerStack } = await import("./read-worker-stack.ts");
    const { attempts, clock, data, shared } = this.#parts;
    return readWorkerStack({
      ...{ attempts, clock, shared },
      redactPatterns: data.redactPatterns,
      isolated: data.isolates ? () => this.#askMain() : undefined,
    });
  }

  /** Undefined when the main thread does not answer in time. */
  async #askMain(): Promise<readonly IsolatedStack[] | undefined> {
    const answered = Promise.withResolvers<readonly IsolatedStack[] | undefined>();
    this.#isolated = answered.resolve;
    const cancel = this.#parts.clock.after(ISOLATED_MS, () => answered.resolve(undefined));
    this.#parts.emit({ kind: "isolatedStacks" });
    try {
      return await answered.promise;
    } finally {
      cancel();
    }
  }
}
