/** Commits results in batches and acknowledges them. */
import { Batcher } from "@muster/common/batcher";
import type { Clock } from "../../clock.ts";
import { mayBeOfRows } from "../../domain/errors.ts";
import { type AttemptKey, formatAttemptId } from "../../domain/ids.ts";
import type { CircuitRule } from "../../domain/tasks/limits/circuit.ts";
import { countedOutcome } from "../../domain/tasks/limits/circuit-outcome.ts";
import type { Outcome, OutcomeDecision } from "../../domain/tasks/outcome/outcome.ts";
import type { AttemptMetrics } from "../../domain/tasks/task.ts";
import type { AttemptStore, CircuitCount, CommitRequest, CommitResult } from "../../store/store.ts";
import type { Logger } from "../../telemetry/logs/logger.ts";
import type { Counters } from "../../telemetry/metrics/counters.ts";
import { isLogDue } from "../../telemetry/metrics/growing.ts";
import type { Admission } from "../admission/admission.ts";
import type { Circuits } from "../admission/circuits.ts";
import type { Dispatcher } from "../claiming/dispatcher.ts";
import type { Peers } from "../claiming/peers.ts";
import type { TaskSignals } from "../following/task-signals.ts";
import type { Mechanisms } from "../mechanisms/mechanisms.ts";
import type { Quarantines } from "../quarantine/quarantines.ts";
import type { ResultAck } from "../sessions/link.ts";
import type { Session } from "../sessions/session.ts";
import type { Attempt } from "./attempt.ts";
import { HeldResults } from "./held-results.ts";
import type { RetryPolicies } from "./retry-policies.ts";
import type { AttemptTraces } from "./writers/attempt-traces.ts";
import type { CheckpointWriter } from "./writers/checkpoint-writer.ts";
import type { EventWriter } from "./writers/event-writer.ts";
import type { MetricWriter } from "./writers/metric-writer.ts";

/** Most results in one statement; the figures are beside the largest claim. */
const MAX_BATCH = 1_000;

/** While one commit waits for the disk, the next is on its way. */
const LANES = 2;

/** Waits while the database is away, doubling up to the last, milliseconds. */
const FIRST_WAIT_MS = 100;
const LAST_WAIT_MS = 2_000;

/** An attempt on its way out and what is written of it. */
interface Ending {
  readonly session: Session;
  readonly attempt: Attempt;
  readonly request: CommitRequest;
  /** When its result arrived or its end was concluded, monotonic. */
  readonly at: number;
}

/** What became of an end; a promise when it is held because the database refused it. */
type PendingCommit = CommitResult | Promise<CommitResult>;

/** A result as its worker reported it. */
export interface ReportedResult {
  readonly key: AttemptKey;
  readonly outcome: Outcome;
  readonly metrics: AttemptMetrics | undefined;
  /** Iterations that the task has begun; absent when its handler counts none. */
  readonly iterations?: number | undefined;
}

/**
 * Ends attempts: decides by their retry policies, writes in batches, and acknowledges after the commit.
 * While the database is away it holds on to what it has; nothing is acknowledged that is not committed.
 */
export class ResultCommitter {
  readonly #store: Pick<AttemptStore, "commitResults">;
  readonly #admission: Pick<Admission, "release">;
  readonly #circuits: Pick<Circuits, "changed" | "observed">;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #counters: Counters;
  readonly #mechanisms: Pick<Mechanisms, "mode" | "observed">;
  readonly #dispatcher: Dispatcher;
  readonly #signals: TaskSignals;
  readonly #peers: Peers;
  readonly #traces: AttemptTraces;
  readonly #eventWriter: EventWriter;
  readonly #checkpoints: Pick<CheckpointWriter, "flushOf">;
  readonly #metricWriter: Pick<MetricWriter, "flushOf">;
  readonly #quarantines: Pick<Quarantines, "reported">;
  readonly #retryPolicies: Pick<RetryPolicies, "decide">;
  readonly #onScheduled: (delayMs: number) => void;
  readonly #batcher: Batcher<readonly Ending[], PendingCommit[]>;
  readonly #stopping = new AbortController();
  readonly #held: HeldResults;
  #wake = new AbortController();

  constructor(parts: {
    store: Pick<AttemptStore, "commitResults">;
    admission: Pick<Admission, "release">;
    circuits: Pick<Circuits, "changed" | "observed">;
    clock: Clock;
    log: Logger;
    counters: Counters;
    mechanisms: Pick<Mechanisms, "mode" | "observed">;
    dispatcher: Dispatcher;
    signals: TaskSignals;
    peers: Peers;
    traces: AttemptTraces;
    eventWriter: EventWriter;
    checkpoints: Pick<CheckpointWriter, "flushOf">;
    metricWriter: Pick<MetricWriter, "flushOf">;
    quarantines: Pick<Quarantines, "reported">;
    retryPolicies: Pick<RetryPolicies, "decide">;
    onScheduled: (delayMs: number) => void;
  }) {
    this.#store = parts.store;
    this.#admission = parts.admission;
    this.#circuits = parts.circuits;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#counters = parts.counters;
    this.#mechanisms = parts.mechanisms;
    this.#dispatcher = parts.dispatcher;
    this.#signals = parts.signals;
    this.#peers = parts.peers;
    this.#traces = parts.traces;
    this.#eventWriter = parts.eventWriter;
    this.#checkpoints = parts.checkpoints;
    this.#metricWriter = parts.metricWriter;
    this.#quarantines = parts.quarantines;
    this.#retryPolicies = parts.retryPolicies;
    this.#onScheduled = parts.onScheduled;
    this.#held = new HeldResults({
      write: (requests) => this.#write(requests),
      clock: this.#clock,
      log: this.#log,
      stopping: this.#stopping.signal,
    });
    this.#batcher = new Batcher((frames) => this.#flushFrames(frames), {
      maxWeight: MAX_BATCH,
      weigh: (frame) => frame.length,
      lanes: LANES,
    });
  }

  /** Results of a frame. Acknowledged on the session's link when they are committed or found stale. */
  commitResults(session: Session, results: readonly ReportedResult[]): void {
    const stale: AttemptKey[] = [];
    const again: AttemptKey[] = [];
    const endings: Ending[] = [];
    for (const { key, outcome, metrics, iterations } of results) {
      const attempt = session.attempts.get(key.taskId);
      if (attempt?.epoch !== key.epoch) {
        (session.takeCommitted(key) ? again : stale).push(key);
      } else if (attempt.isOpen) {
        if (iterations !== undefined) attempt.noteIterations(iterations);
        session.startCommit(attempt, true);
        this.#quarantines.reported(session, attempt, outcome, this.#clock.monotonic());
        endings.push(this.#ending(session, attempt, outcome, metrics));
      }
      // A second copy of a result that is being committed: the first one's acknowledgement answers both.
      else if (!attempt.reported) stale.push(key);
    }
    if (stale.length > 0) this.#refuse(session, stale);
    if (again.length > 0) session.link?.ackResults(again.map((key) => ({ key, stale: false })));
    // One commit at most takes them all: what is behind the limit waits for no other frame.
    for (let start = 0; start < endings.length; start += MAX_BATCH) {
      void this.#commit(endings.slice(start, start + MAX_BATCH));
    }
    this.#dispatcher.pump();
  }

  /**
   * Ends an attempt of a session, whoever concluded it. Resolves when it is committed, found stale, or given
   * up because the scheduler stops: then it is not acknowledged, and the worker reports it elsewhere. Never
   * rejects.
   */
  async endAttempt(
    session: Session,
    attempt: Attempt,
    outcome: Outcome,
    metrics?: AttemptMetrics,
  ): Promise<CommitResult> {
    session.startCommit(attempt);
    const [result] = await this.#commit([this.#ending(session, attempt, outcome, metrics)]);
    return result ?? { applied: false };
  }

  /** Resolves when everything reported is committed. */
  async idle(): Promise<void> {
    await this.#batcher.idle();
    await this.#held.idle();
  }

  /** Tries at once what waits for the database: it is back. */
  tryNow(): void {
    this.#wake.abort();
    this.#wake = new AbortController();
    this.#held.tryNow();
  }

  /** Gives up waiting for a database that is away. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Follows up on an attempt's end that is committed. The last two are of the session that held it. */
  afterCommit(
    attempt: AttemptKey & { readonly classId: number },
    decision: OutcomeDecision,
    sessionId: number,
    workerId: string,
  ): void {
    if (decision.observed)
      for (const each of decision.observed) this.#mechanisms.observed(each, { attempt, workerId, sessionId });
    this.#admission.release(attempt, decision.kind === "requeue" ? "requeued" : "finished");
    // The end of a session elsewhere frees keys that this scheduler did not count as its own.
    if (decision.kind === "requeue" || decision.state !== "succeeded")
      this.#dispatcher.keysFreed(attempt.classId);
    if (decision.kind === "requeue") {
      this.#log.info("task.requeued", {
        attempt_id: formatAttemptId(attempt),
        reason: decision.reason,
        delay_ms: decision.delayMs,
        costs_attempt: decision.costsAttempt,
        ...(decision.failure ? { code: decision.failure.code } : {}),
      });
      this.#requeued(attempt.taskId, attempt.classId, decision);
      return;
    }
    this.#counters.outcome(attempt.classId, decision);
    // Successes are counted: at tens of thousands a second the log has no room for them.
    if (decision.state !== "failed") return;
    const { detail, failure } = decision;
    this.#log.info("task.failed", { attempt_id: formatAttemptId(attempt), detail, code: failure?.code });
  }

  /** A requeued task can run again: here when a slot is free, and the other schedulers get a hint. */
  #requeued(taskId: number, classId: number, decision: Extract<OutcomeDecision, { kind: "requeue" }>): void {
    this.#counters.outcome(classId, decision);
    if (decision.delayMs > 0) {
      this.#onScheduled(decision.delayMs);
      return;
    }
    // Its priority is in the store; looking again puts it in its place.
    this.#dispatcher.lookAgain([classId]);
    this.#peers.hintWork([classId]);
    this.#signals.changed(taskId);
  }

  #ending(session: Session, attempt: Attempt, outcome: Outcome, metrics: AttemptMetrics | undefined): Ending {
    const now = this.#clock.monotonic();
    const request = {
      key: { taskId: attempt.taskId, epoch: attempt.epoch },
      decision: withMetrics(this.#retryPolicies.decide(attempt, outcome), metrics),
      acceptAgeMs: age(now, attempt.acceptedAt),
      startAgeMs: age(now, attempt.startedAt),
      keyed: attempt.concurrency !== undefined,
      classId: attempt.classId,
      concurrency: attempt.concurrency,
      circuit: attempt.circuit && this.#countIn(attempt.circuit, outcome, attempt.cancelReason),
      progress: attempt.lastProgress(now),
      iterations: attempt.lastIterations,
      steps: attempt.reportedSteps,
    };
    return { session, attempt, request, at: now };
  }

  #countIn(rule: CircuitRule, outcome: Outcome, cancelReason: string | undefined): CircuitCount | undefined {
    const counted = countedOutcome(outcome, cancelReason);
    if (counted === undefined) return undefined;
    const mode = this.#mechanisms.mode("circuits");
    return mode === "act" ? { rule, outcome: counted } : { rule, outcome: counted, mode };
  }

  async #commit(endings: readonly Ending[]): Promise<readonly CommitResult[]> {
    let results: readonly PendingCommit[];
    try {
      results = await this.#batcher.add(endings);
    } catch (error) {
      this.#notCommitted(endings, error);
      return [];
    }
    if (!results.some(isLater)) {
      const committed = results as readonly CommitResult[];
      this.#follow(endings, committed);
      return committed;
    }
    return Promise.all(endings.map((ending, index) => this.#followLater(ending, results[index])));
  }

  /** The end of one of a batch of which some are held. */
  async #followLater(ending: Ending, committing: PendingCommit | undefined): Promise<CommitResult> {
    let result: CommitResult;
    try {
      result = (await committing) ?? NOT_APPLIED;
    } catch (error) {
      this.#notCommitted([ending], error);
      return NOT_APPLIED;
    }
    this.#follow([ending], [result]);
    this.#dispatcher.pump();
    return result;
  }

  /** Follows up on ends of one session. */
  #follow(endings: readonly Ending[], results: readonly CommitResult[]): void {
    const acks: ResultAck[] = [];
    let index = 0;
    for (const { session, attempt, request, at } of endings) {
      const { applied, circuit, wouldOpen } = results[index++] ?? NOT_APPLIED;
      const now = this.#clock.monotonic();
      session.release(attempt, now);
      if (circuit) this.#circuits.changed(circuit);
      if (wouldOpen) this.#circuits.observed(wouldOpen, attempt, session);
      if (applied) {
        this.#applied(session, attempt, request.decision, now);
        this.#traces.ended(attempt, attempt.assigned, attempt.reported ? at : undefined);
      } else {
        this.#admission.release(attempt, "stale");
        this.#counters.stale.add("result");
      }
      // What the scheduler concluded by itself answers nothing that the worker sent.
      if (attempt.reported) acks.push({ key: request.key, stale: !applied });
      this.#signals.changed(attempt.taskId);
    }
    if (acks.length > 0) endings[0]?.session.link?.ackResults(acks);
  }

  #notCommitted(endings: readonly Ending[], error: unknown): void {
    this.#log.warn("result.not_committed", {
      worker_id: endings[0]?.session.workerId,
      attempt_ids: endings.slice(0, 20).map(({ request }) => formatAttemptId(request.key)),
      count: endings.length,
      error,
    });
  }

  #applied(session: Session, attempt: Attempt, decision: OutcomeDecision, now: number): void {
    const startedAt = attempt.startedAt ?? attempt.acceptedAt;
    if (startedAt !== undefined)
      this.#counters.classes.of(attempt.classId).runs.record((now - startedAt) / 1_000);
    if (decision.kind === "finish" && decision.state === "succeeded") session.completions.add(now);
    this.afterCommit(attempt, decision, session.id, session.workerId);
  }

  #refuse(session: Session, keys: readonly AttemptKey[]): void {
    this.#counters.stale.add("result", keys.length);
    this.#log.warn("result.stale", { worker_id: session.workerId, count: keys.length });
    session.link?.ackResults(keys.map((key) => ({ key, stale: true })));
  }

  async #flushFrames(frames: readonly (readonly Ending[])[]): Promise<PendingCommit[][]> {
    const results = await this.#flush(frames.flat());
    let start = 0;
    return frames.map((frame) => {
      start += frame.length;
      return results.slice(start - frame.length, start);
    });
  }

  /** Waits for a database that is away; what it refuses although it is there is held, and others go on. */
  async #flush(endings: readonly Ending[]): Promise<readonly PendingCommit[]> {
    const requests = endings.map(({ request }) => request);
    let wait = FIRST_WAIT_MS;
    for (let failures = 1; ; failures++) {
      try {
        return await this.#write(requests);
      } catch (error) {
        if (this.#stopping.signal.aborted) throw error;
        // These places are assigned again when their results are stored: until then the results occupy memory.
        for (const { session, attempt } of endings) session.occupyAgain(attempt, asText(error));
        if (mayBeOfRows(error)) return this.#held.hold(requests, error);
        if (isLogDue(failures))
          this.#log.warn("results.waiting_for_database", { count: requests.length, failures, error });
        await this.#clock.sleep(wait, AbortSignal.any([this.#stopping.signal, this.#wake.signal]));
        wait = Math.min(wait * 2, LAST_WAIT_MS);
      }
    }
  }

  async #write(requests: readonly CommitRequest[]): Promise<readonly CommitResult[]> {
    const taskIds = requests.map(({ key }) => key.taskId);
    await this.#eventWriter.flushEventsOf(taskIds);
    await this.#checkpoints.flushOf(taskIds);
    await this.#metricWriter.flushOf(taskIds);
    return this.#store.commitResults(requests);
  }
}

const NOT_APPLIED: CommitResult = Object.freeze({ applied: false });

function isLater(committing: PendingCommit): committing is Promise<CommitResult> {
  return committing instanceof Promise;
}

function asText(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function withMetrics(decision: OutcomeDecision, metrics: AttemptMetrics | undefined): OutcomeDecision {
  return decision.kind === "finish" && metrics ? { ...decision, metrics } : decision;
}

function age(now: number, at: number | undefined): number | undefined {
  return at === undefined ? undefined : now - at;
}
