/** Writes the spans of ended attempts. */
import { randomBytes } from "node:crypto";
import { formatTraceparent, TRACEPARENT, TRACESTATE } from "@muster/common/tracing/trace-context";
import type { Clock } from "../../../clock.ts";
import { DatabaseUnavailableError } from "../../../domain/errors.ts";
import type { AttemptKey } from "../../../domain/ids.ts";
import type { TaskOptions } from "../../../domain/tasks/task.ts";
import type { AttemptFacts } from "../../../domain/tasks/trace.ts";
import type { AttemptStore, ClaimedAttempt, EventStore } from "../../../store/store.ts";
import type { Logger } from "../../../telemetry/logs/logger.ts";
import { isLogDue } from "../../../telemetry/metrics/growing.ts";
import {
  type Assigned,
  type Ended,
  endedInQueueSpans,
  endedSpans,
  type PhaseRecord,
  TRACING_FEATURE,
} from "../../../telemetry/spans/attempt-spans.ts";
import { attemptContext, startsTrace } from "../../../telemetry/spans/span-ids.ts";
import type { Tracing } from "../../../telemetry/spans/tracing.ts";
import type { Admission } from "../../admission/admission.ts";
import type { ClassIndex } from "../../matching/class-index.ts";
import { WaitHistory } from "../../matching/wait-log.ts";

/** Spans are written this late: many ends share a query. */
const WRITE_AFTER_MS = 100;

/** Wait after the database was found away. */
const RETRY_AFTER_MS = 1_000;

/** Attempts in one query. */
const MAX_BATCH = 500;

/** Attempts whose spans wait to be written, at most; beyond it they are dropped and counted. */
const MAX_PENDING = 10_000;

/** Events of one task that are read for the phases of a worker without spans of its own. */
const MAX_EVENTS = 1_000;

const PHASE_EVENT = /^task\.(.+)\.(started|completed|failed)$/;

interface Pending {
  readonly key: AttemptKey;
  /** Undefined for a task that ended in the queue. */
  readonly ended: Ended | undefined;
}

/** The statements that read what spans need. */
type TraceStore = Pick<AttemptStore, "attemptFacts"> & Pick<EventStore, "taskEvents">;

/** An attempt as it may be traced. */
type Traceable = AttemptKey & { readonly options: TaskOptions | undefined };

/**
 * Writes the spans of attempts, behind their back: the times come from the database, so that they are the
 * same whichever scheduler writes them, after a restart too. A task that is not traced costs a look at its
 * options.
 */
export class AttemptTraces {
  readonly enabled: boolean;
  readonly #store: TraceStore;
  readonly #tracing: Tracing;
  readonly #clock: Clock;
  readonly #log: Logger;
  readonly #waits: WaitHistory;
  readonly #pending: Pending[] = [];
  /** One for all, so that assignments still share what they have in common. */
  readonly #unsampled = `00-${randomBytes(16).toString("hex")}-${randomBytes(8).toString("hex")}-00`;
  readonly #unsampledOnly = { [TRACEPARENT]: this.#unsampled };
  #dropped = 0;
  /** Writes in a row that failed. */
  #failures = 0;
  #timer: (() => void) | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(parts: {
    store: TraceStore;
    tracing: Tracing;
    classes: ClassIndex;
    admission: Admission;
    clock: Clock;
    log: Logger;
  }) {
    this.enabled = parts.tracing.enabled;
    this.#store = parts.store;
    this.#tracing = parts.tracing;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#waits = new WaitHistory(parts.classes, parts.admission, parts.clock);
  }

  /** Headers of an assignment: the task's own, with the context that its worker is to continue. */
  headers(attempt: ClaimedAttempt): ClaimedAttempt["headers"] {
    const { options, headers } = attempt;
    if (!this.enabled) return headers;
    const context = options?.trace && attemptContext(options.trace, attempt);
    if (!options?.trace || !context) {
      // A worker that finds no context would begin a trace of its own for what was not sampled here.
      if (headers === undefined) return this.#unsampledOnly;
      return headers[TRACEPARENT] === undefined ? { ...headers, [TRACEPARENT]: this.#unsampled } : headers;
    }
    const { [TRACESTATE]: state, ...others } = headers ?? {};
    const ours = startsTrace(options.trace, attempt.epoch) || state === undefined;
    return { ...others, ...(ours ? {} : { [TRACESTATE]: state }), [TRACEPARENT]: formatTraceparent(context) };
  }

  /** What is to be remembered of an attempt that is being sent to its worker; undefined when it is not traced. */
  assigned(attempt: ClaimedAttempt): Assigned | undefined {
    if (!this.enabled || !attempt.options?.trace) return undefined;
    return { sentMs: this.#clock.now(), reasons: this.#waits.of(attempt.classId) };
  }

  /**
   * The end of an attempt is committed.
   *
   * @param reportedAt When its worker's result arrived, monotonic; undefined when the scheduler concluded the end.
   */
  ended(attempt: Traceable, assigned: Assigned | undefined, reportedAt: number | undefined): void {
    if (!this.enabled || !attempt.options?.trace) return;
    const now = this.#clock.now();
    const reportedMs = reportedAt === undefined ? undefined : now - (this.#clock.monotonic() - reportedAt);
    this.#add(attempt, { assigned, reportedMs, committedMs: now });
  }

  /** Tasks that ended without another assignment. */
  endedInQueue(taskIds: readonly number[]): void {
    if (!this.enabled) return;
    for (const taskId of taskIds) this.#add({ taskId, epoch: 0 }, undefined);
  }

  /** Notes why tasks wait, if they do. */
  lookAtWaits(): void {
    if (this.enabled) this.#waits.look();
  }

  /** These classes are no longer known. */
  forget(classIds: readonly number[]): void {
    this.#waits.forget(classIds);
  }

  /** Ids for a log line about an attempt; nothing when it is not traced. */
  fields(attempt: Traceable) {
    const context = this.enabled && attempt.options?.trace && attemptContext(attempt.options.trace, attempt);
    return context ? { trace_id: context.traceId, span_id: context.spanId } : {};
  }

  /** Writes what is there; takes no more time than one try. */
  async stop(): Promise<void> {
    this.#timer?.();
    this.#timer = undefined;
    await this.#writing;
    while (this.#pending.length > 0 && (await this.#write())) {
      // The next batch.
    }
  }

  #add({ taskId, epoch }: AttemptKey, ended: Ended | undefined): void {
    if (this.#pending.length < MAX_PENDING) this.#pending.push({ key: { taskId, epoch }, ended });
    else this.#dropped++;
    this.#arm(WRITE_AFTER_MS);
  }

  #arm(afterMs: number): void {
    this.#timer ??= this.#clock.after(afterMs, () => {
      this.#timer = undefined;
      this.#writing = this.#write().then((written) => {
        if (this.#pending.length > 0) this.#arm(written ? 0 : RETRY_AFTER_MS);
      });
    });
  }

  /** One batch; false when the database could not be asked. Never throws. */
  async #write(): Promise<boolean> {
    const batch = this.#pending.splice(0, MAX_BATCH);
    try {
      const facts = await this.#store.attemptFacts(batch.map(({ key }) => key));
      for (const [index, { ended }] of batch.entries()) {
        const fact = facts[index];
        if (fact) this.#tracing.write(await this.#spans(fact, ended));
      }
    } catch (error) {
      if (isLogDue(++this.#failures))
        this.#log.warn("traces.not_written", { attempts: batch.length, failures: this.#failures, error });
      // Anything but a database that is away would fail again.
      if (!(error instanceof DatabaseUnavailableError)) return true;
      this.#pending.unshift(...batch);
      return false;
    }
    this.#failures = 0;
    if (this.#dropped > 0) {
      this.#log.warn("traces.dropped", { attempts: this.#dropped });
      this.#dropped = 0;
    }
    return true;
  }

  async #spans(facts: AttemptFacts, ended: Ended | undefined) {
    if (!ended) return endedInQueueSpans(facts, this.#waits.of(facts.classId));
    return endedSpans(facts, ended, await this.#phases(facts, ended));
  }

  /** Phases that no worker will write a span for. */
  async #phases(facts: AttemptFacts, ended: Ended): Promise<PhaseRecord[]> {
    if (ended.reportedMs !== undefined && facts.workerFeatures.includes(TRACING_FEATURE)) return [];
    const events = await this.#store.taskEvents(facts.taskId, MAX_EVENTS);
    const phases: { phase: string; startMs: number; endMs: number | undefined; failed: boolean }[] = [];
    for (const { epoch, name, time } of events) {
      const [, phase, change] = PHASE_EVENT.exec(name) ?? [];
      if (epoch !== facts.epoch || phase === undefined) continue;
      if (change === "started") {
        phases.push({ phase, startMs: time.getTime(), endMs: undefined, failed: false });
        continue;
      }
      const open = phases.findLast((each) => each.phase === phase && each.endMs === undefined);
      if (!open) continue;
      open.endMs = time.getTime();
      open.failed = change === "failed";
    }
    return phases;
  }
}
