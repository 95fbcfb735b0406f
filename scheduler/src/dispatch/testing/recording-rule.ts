/** An admission rule for tests: it counts running tasks and records every release. */
import assert from "node:assert/strict";
import { EventEmitter, once } from "node:events";
import type { AdmissionPath, ReleasePath } from "../admission/release-path.ts";
import type { Acquired, AdmissionRule, HoldReason, TaskRule } from "../admission/rule.ts";

const FULL: HoldReason = Object.freeze({
  code: "DISPATCH_DELAYED",
  name: "recording_rule",
  detail: "as many tasks run as the test allows",
  evidence: [{ key: "test_limit", value: "reached", source: "matcher" }],
  remedy: "end one of them",
});

/** An admission rule that counts running tasks up to a limit, and fails on a release without its acquire. */
export class RecordingRule implements AdmissionRule {
  readonly tasks: TaskRule;
  readonly released: { taskId: number; path: AdmissionPath }[] = [];
  /** The highest number of tasks that were counted at once. */
  most = 0;
  limit: number;
  readonly #counts = new Map<number, number>();
  readonly #changes = new EventEmitter();
  #total = 0;

  /** @param options.types Types of tasks that it counts; all by default. */
  constructor(options: { limit?: number; types?: readonly string[] } = {}) {
    this.limit = options.limit ?? Number.POSITIVE_INFINITY;
    this.tasks = {
      concerns: ({ type }) => options.types?.includes(type) ?? true,
      holdReason: () => (this.#total >= this.limit ? FULL : undefined),
      acquire: (acquired) => this.#acquire(acquired),
      release: (acquired, path) => this.#release(acquired, path),
      endWait: ({ taskId }, path) => this.#record(taskId, path),
    };
  }

  holdReason(): undefined {
    return undefined;
  }

  /** How often the task is counted now. */
  held(taskId: number): number {
    return this.#counts.get(taskId) ?? 0;
  }

  /** Tasks that are counted now. */
  get counted(): readonly number[] {
    return [...this.#counts.keys()].sort((a, b) => a - b);
  }

  get total(): number {
    return this.#total;
  }

  /** Resolves with the next acquire or release. */
  async changed(signal: AbortSignal): Promise<void> {
    await once(this.#changes, "change", { signal });
  }

  #acquire({ taskId }: Acquired): void {
    this.#counts.set(taskId, this.held(taskId) + 1);
    this.#total++;
    this.most = Math.max(this.most, this.#total);
    this.#changes.emit("change");
  }

  #release({ taskId }: Acquired, path: ReleasePath): void {
    const count = this.held(taskId);
    assert.ok(count > 0, `task ${taskId} was released (${path}) without having been acquired`);
    if (count === 1) this.#counts.delete(taskId);
    else this.#counts.set(taskId, count - 1);
    this.#total--;
    this.#record(taskId, path);
  }

  #record(taskId: number, path: AdmissionPath): void {
    this.released.push({ taskId, path });
    this.#changes.emit("change");
  }
}
