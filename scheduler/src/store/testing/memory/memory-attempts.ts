/** The fake of the role that writes reports and results of attempts. */
import { type AttemptKey, formatAttemptId } from "../../../domain/ids.ts";
import { changeRequirements } from "../../../domain/tasks/outcome/out-of-memory.ts";
import type { OutcomeDecision } from "../../../domain/tasks/outcome/outcome.ts";
import type { OutOfMemoryChange } from "../../../domain/tasks/outcome/retry.ts";
import type { AttemptStore, AttemptTouch, CommitRequest, CommitResult, OutputChunk } from "../../store.ts";
import { countInMemory } from "./memory-circuits.ts";
import { resolveClass } from "./memory-classes.ts";
import type { MemoryTables, OpenRow } from "./memory-tables.ts";

/** A fake of the role that writes reports and results of attempts, in memory; facts for traces are left out. */
export class MemoryAttempts implements Omit<AttemptStore, "attemptFacts"> {
  readonly #tables: MemoryTables;
  readonly #inDoubt = new WeakSet<CommitRequest>();

  constructor(tables: MemoryTables) {
    this.#tables = tables;
  }

  /** The answer to these requests was lost: the next commit of the same ones answers whether they were applied. */
  loseAnswer(requests: readonly CommitRequest[]): void {
    for (const request of requests) this.#inDoubt.add(request);
  }

  async touch(touches: readonly AttemptTouch[]): Promise<void> {
    const now = this.#tables.clock.now();
    for (const { key, acceptAgeMs, startAgeMs, phase, progress, iterations } of touches) {
      const row = this.#current(key);
      if (!row) continue;
      noteIterations(row, iterations);
      if (acceptAgeMs !== undefined) row.state = "running";
      row.acceptedAt ??= momentOf(now, acceptAgeMs, row.assignedAt);
      row.startedAt ??= momentOf(now, startAgeMs, row.assignedAt, row.acceptedAt);
      if (phase !== undefined) row.phase = phase === "" ? undefined : phase;
      if (progress !== undefined) row.progress = progress ?? undefined;
    }
  }

  async commitResults(requests: readonly CommitRequest[]): Promise<CommitResult[]> {
    const stale = new Set<string>();
    const assignedAt = new Map<CommitRequest, number>();
    for (const kind of ["finish", "requeue"]) {
      const ended = new Set<string>();
      for (const request of requests) {
        if (request.decision.kind !== kind) continue;
        const id = formatAttemptId(request.key);
        const row = this.#current(request.key);
        if (row) {
          noteIterations(row, request.iterations);
          assignedAt.set(request, row.assignedAt ?? 0);
          this.#end(row, request);
          ended.add(id);
        } else if (!ended.has(id)) stale.add(id);
      }
    }
    const circuits = this.#count(requests, assignedAt);
    return requests.map((request) => ({
      applied:
        !stale.has(formatAttemptId(request.key)) || (this.#inDoubt.has(request) && this.#isStored(request)),
      ...circuits.get(request),
    }));
  }

  /** Counts the ended ones in their circuits; what they caused, each with the last request that was counted. */
  #count(
    requests: readonly CommitRequest[],
    assignedAt: ReadonlyMap<CommitRequest, number>,
  ): ReadonlyMap<CommitRequest, Pick<CommitResult, "circuit" | "wouldOpen">> {
    const counted = requests.flatMap((request) => {
      const at = assignedAt.get(request);
      const { circuit, decision, key } = request;
      if (!circuit || at === undefined) return [];
      const { code = "", message = "" } = decision.failure ?? {};
      const result = {
        ...circuit,
        assignedAt: at,
        failure: { ...key, code, message },
      };
      return [{ request, result }];
    });
    const changes = new Map<CommitRequest, Pick<CommitResult, "circuit" | "wouldOpen">>();
    for (const [key, ofKey] of Map.groupBy(counted, ({ result }) => result.rule.key)) {
      const change = countInMemory(
        this.#tables,
        key,
        ofKey.map(({ result }) => result),
      );
      const last = ofKey.at(-1);
      if (last) changes.set(last.request, change);
    }
    return changes;
  }

  async committedResults(keys: readonly AttemptKey[]): Promise<AttemptKey[]> {
    return keys.filter(({ taskId, epoch }) => {
      const ended = this.#tables.ended.get(taskId);
      if (ended?.epoch === epoch) {
        const { failureClass } = ended.failure ?? {};
        if (ended.state === "succeeded") return true;
        return ended.state === "failed" && (failureClass === "retryable" || failureClass === "non_retryable");
      }
      return this.#priorOutcome({ taskId, epoch }) === "requeued:retry";
    });
  }

  async retake({ taskId, epoch }: AttemptKey, sessionId: number, schedulerId?: string): Promise<boolean> {
    const row = this.#tables.open.get(taskId);
    if (row?.epoch !== epoch || !this.#tables.lives(sessionId, schedulerId)) return false;
    if (row.state !== "queued" && row.sessionId !== sessionId) return false;
    if (epoch <= (row.task.options?.replacedEpoch ?? 0)) return false;
    if (row.state === "queued" && !this.#tables.admits(row.classId)) return false;
    const now = this.#tables.clock.now();
    if (row.state === "queued") row.attemptCount++;
    row.state = "running";
    row.sessionId = sessionId;
    row.wakeAt = undefined;
    row.acceptedAt ??= now;
    row.assignedAt ??= now;
    this.#tables.attempts = this.#tables.attempts.filter(
      (each) => each.taskId !== taskId || each.epoch !== epoch,
    );
    return true;
  }

  async appendOutput(chunks: readonly OutputChunk[]): Promise<void> {
    this.#tables.output.push(...chunks);
  }

  /** The row of an attempt that is its task's current one. */
  #current({ taskId, epoch }: AttemptKey): OpenRow | undefined {
    const row = this.#tables.open.get(taskId);
    return row?.epoch === epoch && row.state !== "queued" ? row : undefined;
  }

  /** The class whose tasks have the changed requirements. */
  #changed(classId: number, change: OutOfMemoryChange): number {
    const from = this.#tables.classOf(classId);
    const { requirements } = changeRequirements(from.requirements, change);
    return resolveClass(this.#tables, { ...from, requirements }, from.alone).id;
  }

  #end(row: OpenRow, { key, decision, progress, aloneClassId }: CommitRequest): void {
    const { attempts } = this.#tables;
    if (decision.kind === "finish") {
      this.#tables.end({
        ...row,
        state: decision.state,
        detail: decision.detail,
        output: decision.output,
        failure: decision.failure ?? (decision.state === "failed" ? row.failure : undefined),
        progress: progress === undefined ? row.progress : (progress ?? undefined),
      });
      return;
    }
    attempts.push({ ...key, outcome: storedDetail(decision) });
    const { delayMs, costsAttempt, outOfMemory, failure, counts } = decision;
    row.state = "queued";
    row.sessionId = undefined;
    row.assignedAt = undefined;
    row.acceptedAt = undefined;
    row.startedAt = undefined;
    row.phase = undefined;
    const last = progress === undefined ? row.progress : (progress ?? undefined);
    if (last) {
      const earlierProgress = { ...last, at: new Date(this.#tables.clock.now()).toISOString() };
      row.task = { ...row.task, options: { ...row.task.options, earlierProgress } };
    }
    row.progress = undefined;
    row.wakeAt = delayMs > 0 ? this.#tables.clock.now() + delayMs : undefined;
    if (!costsAttempt) row.attemptCount--;
    if (outOfMemory) row.outOfMemoryCount++;
    row.failure = failure ?? row.failure;
    row.classId = aloneClassId ?? row.classId;
    if (decision.change) row.classId = this.#changed(row.classId, decision.change);
    if (counts)
      row.requeueCounts = { ...row.requeueCounts, [counts]: (row.requeueCounts?.[counts] ?? 0) + 1 };
  }

  /** Whether the attempt's stored end is the wanted one. */
  #isStored({ key, decision }: CommitRequest): boolean {
    if (decision.kind === "requeue") return this.#priorOutcome(key) === storedDetail(decision);
    const ended = this.#tables.ended.get(key.taskId);
    return ended?.epoch === key.epoch && ended.state === decision.state && ended.detail === decision.detail;
  }

  #priorOutcome({ taskId, epoch }: AttemptKey): string | undefined {
    return this.#tables.attempts.find((each) => each.taskId === taskId && each.epoch === epoch)?.outcome;
  }
}

function storedDetail(decision: OutcomeDecision): string {
  return decision.kind === "finish" ? decision.detail : `requeued:${decision.reason}`;
}

/** Keeps the count of iterations with the task; it never falls. */
function noteIterations(row: OpenRow, iterations: number | undefined): void {
  if (iterations === undefined || iterations <= (row.task.options?.iterations ?? 0)) return;
  row.task = { ...row.task, options: { ...row.task.options, iterations } };
}

/** A moment from its age; never before the moments that it follows. */
function momentOf(
  now: number,
  ageMs: number | undefined,
  ...follows: readonly (number | undefined)[]
): number | undefined {
  return ageMs === undefined ? undefined : Math.max(now - ageMs, ...follows.map((each) => each ?? 0));
}
