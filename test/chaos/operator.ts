/** The operator of a chaos run: holds, edits and revokes tasks, and releases workers from quarantine. */
import { setTimeout as delay } from "node:timers/promises";
import { TaskState } from "@muster/protocol";
import { Client, MusterError } from "@muster/worker/client";
import type { Accepted } from "./checks/records.ts";
import { MAX_EDITED_RETRIES, MIN_EDITED_RETRIES } from "./limits.ts";
import { seededRandom } from "./schedule.ts";

/** What was answered with success: it must be on record. */
export interface Acknowledged {
  readonly held: readonly string[];
  /** The last edit of a task that was answered may be followed by one whose answer was lost. */
  readonly edited: readonly { readonly taskId: string; readonly maxRetries: number }[];
  readonly revoked: readonly string[];
}

/** Newest tasks that it chooses from: most of them have not ended. */
const RECENT = 100;

/** Longest hold, milliseconds. */
const MAX_HOLD_MS = 2_500;

/** Works on the tasks that the producer submits until `stop`, which releases what was held. */
export class Operator {
  readonly held: string[] = [];
  readonly edited: { taskId: string; maxRetries: number }[] = [];
  readonly revoked: string[] = [];
  readonly #client: Client;
  readonly #random: () => number;
  readonly #accepted: readonly Accepted[];
  readonly #workers: number;
  readonly #stopping = new AbortController();
  readonly #releases = new Set<Promise<void>>();
  #done: Promise<void> = Promise.resolve();

  constructor(addresses: readonly string[], seed: number, accepted: readonly Accepted[], workers: number) {
    this.#client = new Client({ scheduler: addresses.join(",") });
    this.#random = seededRandom(seed ^ 0x0be7);
    this.#accepted = accepted;
    this.#workers = workers;
  }

  start(): void {
    this.#done = this.#work();
  }

  /** Ends when everything that it holds, or may hold, is released. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#done;
    await Promise.all(this.#releases);
    this.#client.close();
  }

  async #work(): Promise<void> {
    while (!this.#stopping.signal.aborted) {
      await delay(20 + this.#random() * 100);
      const place = this.#accepted.length - 1 - Math.floor(this.#random() * RECENT);
      const task = this.#accepted[place];
      const ticket = this.#random();
      if (ticket < 0.02) await this.#release(`worker-${1 + Math.floor(this.#random() * this.#workers)}`);
      else if (ticket < 0.3) await this.#revoke();
      else if (task && ticket < 0.65) await this.#hold(task.taskId);
      else if (task) await this.#edit(task.taskId);
    }
  }

  /** True when the call was answered with success. A refusal and an answer that was lost leave the task to its rules. */
  async #succeeds(call: () => Promise<unknown>): Promise<boolean> {
    try {
      await call();
      return true;
    } catch (error) {
      if (!(error instanceof MusterError)) throw error;
      return false;
    }
  }

  async #hold(taskId: string): Promise<void> {
    if (await this.#succeeds(() => this.#client.handle(taskId).hold("chaos"))) this.held.push(taskId);
    const released = this.#releaseLater(taskId, this.#random() * MAX_HOLD_MS);
    this.#releases.add(released);
    void released.then(() => this.#releases.delete(released));
  }

  /** A hold without an answer may be in force, too. */
  async #releaseLater(taskId: string, afterMs: number): Promise<void> {
    await delay(afterMs);
    for (;;) {
      try {
        await this.#client.handle(taskId).release("chaos");
        return;
      } catch (error) {
        if (!(error instanceof MusterError)) throw error;
        // It has ended.
        if (error.reason === "TASK_ALREADY_ENDED") return;
        await delay(100);
      }
    }
  }

  async #edit(taskId: string): Promise<void> {
    const maxRetries =
      MIN_EDITED_RETRIES + Math.floor(this.#random() * (MAX_EDITED_RETRIES - MIN_EDITED_RETRIES));
    if (await this.#succeeds(() => this.#client.handle(taskId).edit({ maxRetries }, "chaos")))
      this.edited.push({ taskId, maxRetries });
  }

  async #revoke(): Promise<void> {
    let running: readonly { readonly id: string }[] = [];
    await this.#succeeds(async () => {
      ({ tasks: running } = await this.#client.tasks.listTasks({
        states: [TaskState.RUNNING],
        pageSize: 50,
      }));
    });
    const chosen = running[Math.floor(this.#random() * running.length)];
    if (chosen && (await this.#succeeds(() => this.#client.handle(chosen.id).revoke("chaos"))))
      this.revoked.push(chosen.id);
  }

  async #release(workerId: string): Promise<void> {
    await this.#succeeds(() => this.#client.fleet.releaseWorker({ workerId, reason: "chaos" }));
  }
}
