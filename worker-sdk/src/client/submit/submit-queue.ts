/** Collects tasks into shared calls. */
import { Code } from "@connectrpc/connect";
import type { SubmittedTask, TaskSpec } from "@muster/protocol";
import { MusterError } from "../errors.ts";

/** Most tasks and most payload bytes of one shared call. */
const MAX_TASKS = 500;
const MAX_BYTES = 1024 * 1024;

/** Most concurrent calls; submits that are made meanwhile share the next one. */
const MAX_PARALLEL_CALLS = 2;

/** Codes of refusals for one of the tasks, after which no task of the call was inserted. */
const ABOUT_A_TASK: ReadonlySet<Code> = new Set([
  Code.InvalidArgument,
  Code.FailedPrecondition,
  Code.ResourceExhausted,
  Code.OutOfRange,
]);

/** Set when the submit has timed out or was aborted: it need not be sent any more. */
export interface GivenUp {
  yes: boolean;
}

interface Waiting {
  readonly spec: TaskSpec;
  readonly timeoutMs: number;
  readonly givenUp: GivenUp;
  readonly resolve: (task: SubmittedTask) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * Group commit for single submits: a call costs client and scheduler some hundred microseconds, however many tasks it
 * has, so that submits that are made during other calls share the next one. A single submit is sent at once.
 */
export class SubmitQueue {
  readonly #call: (specs: TaskSpec[], timeoutMs: number) => Promise<readonly SubmittedTask[]>;
  #waiting: Waiting[] = [];
  #underWay = 0;
  #scheduled = false;

  /** @param call Submits tasks in one transaction, all or none; answers in their order. */
  constructor(call: (specs: TaskSpec[], timeoutMs: number) => Promise<readonly SubmittedTask[]>) {
    this.#call = call;
  }

  /**
   * Submits a task. Rejects with the scheduler's answer to this task, never to another one.
   * @param timeoutMs Timeout once it is sent; tasks that share a call have the longest of theirs.
   */
  submit(spec: TaskSpec, timeoutMs: number, givenUp: GivenUp = { yes: false }): Promise<SubmittedTask> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ spec, timeoutMs, givenUp, resolve, reject });
      if (this.#scheduled) return;
      this.#scheduled = true;
      // Submits of the same turn of the loop share a call.
      queueMicrotask(() => {
        this.#scheduled = false;
        this.#flush();
      });
    });
  }

  #flush(): void {
    this.#waiting = this.#waiting.some(({ givenUp }) => givenUp.yes)
      ? this.#waiting.filter(({ givenUp }) => !givenUp.yes)
      : this.#waiting;
    while (this.#underWay < MAX_PARALLEL_CALLS && this.#waiting.length > 0) {
      this.#underWay += 1;
      void this.#send(this.#take()).finally(() => {
        this.#underWay -= 1;
        this.#flush();
      });
    }
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    try {
      const tasks = await this.#call(
        batch.map(({ spec }) => spec),
        Math.max(...batch.map(({ timeoutMs }) => timeoutMs)),
      );
      for (const [index, { resolve, reject }] of batch.entries()) {
        const task = tasks[index];
        if (task) resolve(task);
        else reject(new MusterError("SubmitTasks: no answer for a task.", { code: Code.Internal }));
      }
    } catch (error) {
      const { code } = MusterError.from(error);
      if (batch.length > 1 && ABOUT_A_TASK.has(code)) {
        await Promise.all(batch.map((waiting) => this.#send([waiting])));
      } else for (const { reject } of batch) reject(error);
    }
  }

  #take(): Waiting[] {
    let bytes = 0;
    let count = 0;
    for (const { spec } of this.#waiting) {
      bytes += spec.payload.byteLength + 1_024;
      if (count > 0 && (count >= MAX_TASKS || bytes > MAX_BYTES)) break;
      count += 1;
    }
    return this.#waiting.splice(0, count);
  }
}
