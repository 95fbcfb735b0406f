/** The counters of the scheduler. */
import type { MechanismName } from "../../domain/mechanisms/mechanism.ts";
import type { OutcomeDecision } from "../../domain/tasks/outcome/outcome.ts";
import type { ChangeKind } from "../../domain/tasks/task-change.ts";
import { type FinishedAs, MeasuredClasses } from "./class-measures.ts";
import { Distribution, LONG_BUCKETS, SHORT_BUCKETS } from "./distribution.ts";
import { FailureTally } from "./failure-tally.ts";
import { Tally } from "./tally.ts";
import { TaskMetricTally } from "./task-metrics.ts";

/** Distinct values of a label that handlers or workers choose. */
const MAX_VALUES = 100;

/** Reports that can be stale, and why tasks are taken back: there from the first scrape on. */
const REPORTS = ["accept", "reject", "event", "progress", "output", "logs", "report", "result"];

/** Why lines that handlers logged are dropped. */
const LOG_DROPS = ["overload", "too_large", "unstorable", "off"];
const RECOVERIES = ["stale", "fatal", "superseded", "unaccepted", "drain", "revoked"];

/** Why workers pause: their measures, and calls of their programs. */
const PAUSES = ["cpu", "memory", "loop_delay", "probe", "program"];

/** What becomes of the launches of pools. */
const POOL_LAUNCHES = ["ordered", "ready", "failed_start", "stopped", "finished", "lost", "withdrawn"];

/** How rollouts of pools ended or stopped. */
const POOL_ROLLOUTS = ["completed", "paused", "rolled_back"];

const LAUNCH_FAILURES = ["fatal", "lost", "launch_failed", "startup_timeout"];

/**
 * Counts since the scheduler started, in plain memory: nothing here imports OpenTelemetry, which
 * reads it when it collects.
 */
export class Counters {
  /** Claims that another scheduler, a cancellation or a retry was faster with. */
  acquireConflicts = 0;
  /** Tasks whose claim found one of their concurrency keys held by as many as its limit allows. */
  keyClaimsTurnedBack = 0;
  /** Tasks whose claim found no token in the bucket of one of their rate limits. */
  rateClaimsTurnedBack = 0;
  /** Pauses of rate limit keys that handlers asked for. */
  keyPauses = 0;
  /** Concurrency keys whose count differed from their tasks and was corrected. */
  keyCountsCorrected = 0;
  /** Tasks that a concurrency key cancelled: as the newest one, or for a newer one. */
  readonly keyPolicyCancels = { newest: 0, running: 0 };
  /** Batches that were created and cancelled here. */
  readonly batches = { created: 0, cancelled: 0 };
  /** Tasks that wait for others: accepted, and what became of them. */
  readonly dependents = { held: 0, released: 0, failed: 0, cancelled: 0 };
  /** Holds of waiting tasks that were asked for here, and their ends. */
  readonly holds = { held: 0, released: 0 };
  /** Requests to end a worker's process that were recorded here. */
  workerKills = 0;
  /** Edits of tasks that were asked for here and changed something. */
  edits = 0;
  /** Tasks that changes of many tasks have changed, or left as they were. */
  readonly changes = new ChangeCounts();
  /** Circuits that this scheduler opened, made half-open or closed, by the state that followed. */
  readonly circuitTransitions = { closed: 0, open: 0, half_open: 0 };
  /** Ticks of schedules that this scheduler decided, by what became of them; `failed` counts tries. */
  readonly scheduleTicks = { submitted: 0, duplicate: 0, skipped: 0, missed: 0, failed: 0, manual: 0 };
  /** Seconds from the moment at which a tick was due to the submit of its task. */
  readonly scheduleDelay = new Distribution(LONG_BUCKETS);
  /** Submits that met a held unique key and changed nothing. */
  duplicates = 0;
  /** Submits and retries that met a held unique key, by their answer. */
  readonly keyConflicts = { returned: 0, replaced: 0, refused: 0 };
  heartbeats = 0;
  /** Heartbeats that renewed no lease, and workers whose heartbeats stopped. */
  heartbeatFailures = 0;
  /** Workers that were quarantined. */
  quarantines = 0;
  /** What mechanisms in mode `observe` would have done, by mechanism. */
  readonly observed: Record<MechanismName, number> = {
    recovery: 0,
    unaccepted: 0,
    forgotten: 0,
    attempt_limits: 0,
    poison: 0,
    circuits: 0,
    quarantine: 0,
  };
  /** Messages of a kind of a newer version. */
  unknownMessages = 0;
  submitted = 0;
  /** Lines that handlers logged and that were stored. */
  logLines = 0;
  /** Lines that were not, by why. */
  readonly logLinesDropped = new Tally(MAX_VALUES, LOG_DROPS);
  /** Calls and streams that ended with a fault of the scheduler's own, by method. */
  readonly internalErrors = new Tally(MAX_VALUES);
  /** Worker streams refused before they were registered, by reason. */
  readonly refused = new Map<string, number>();
  /** Rejected workers that are no longer listed because too many different ones came. */
  rejectionsDropped = 0;
  /** Reports of attempts that were no longer current, by kind. */
  readonly stale = new Tally(MAX_VALUES, REPORTS);
  /** Attempts that failed and are tried again, by the failure's code. */
  readonly retries = new Tally(MAX_VALUES);
  /** Tasks that failed for good. */
  readonly failures = new FailureTally();
  /** Tasks taken back without a failure of theirs, by the word after `requeued:`. */
  readonly recovered = new Tally(MAX_VALUES, RECOVERIES);
  /** Workers that ended, by reason. */
  readonly gone = new Tally(MAX_VALUES, ["finished", "lost", "fatal", "superseded"]);
  /** Seconds from an assignment's sending to its acceptance. */
  readonly assignLatency = new Distribution(SHORT_BUCKETS);
  /** Workers that ended before they were ready, by the reason of their end. */
  readonly launchFailures = new Tally(MAX_VALUES, LAUNCH_FAILURES);
  /** Launches of pools that this scheduler decided, and what became of them. */
  readonly poolLaunches = new Tally(MAX_VALUES, POOL_LAUNCHES);
  /** Launches of pools that failed to start, by cause. */
  readonly poolFailedStarts = new Tally(MAX_VALUES);
  /** Rollouts of templates that ended, paused or went back by themselves. */
  readonly poolRollouts = new Tally(MAX_VALUES, POOL_ROLLOUTS);
  /** Times that workers began to pause by themselves, by what they measured. */
  readonly workerPauses = new Tally(MAX_VALUES, PAUSES);
  /** Submits that were refused because a queue was full, by queue. */
  readonly queueFull = new Tally(MAX_VALUES);
  /** What handlers measured. */
  readonly taskMetrics = new TaskMetricTally();
  readonly classes: MeasuredClasses;

  /** @param classes What is measured by queue and type. */
  constructor(classes: MeasuredClasses = new MeasuredClasses(0, () => undefined)) {
    this.classes = classes;
  }

  countRejection(code: string): void {
    this.refused.set(code, (this.refused.get(code) ?? 0) + 1);
  }

  /** An outcome was committed. */
  outcome(classId: number, decision: OutcomeDecision): void {
    if (decision.kind === "finish") {
      this.finished(classId, endOf(decision));
      if (decision.state === "failed")
        this.failures.add(decision.detail, decision.failure?.code ?? decision.detail);
    } else if (decision.reason === "retry") this.retries.add(decision.failure?.code ?? "UNKNOWN");
    else this.recovered.add(decision.reason);
  }

  /** A task failed while it waited. @param code Why. */
  failedInQueue(classId: number, code: string): void {
    this.finished(classId, "failed");
    this.failures.add(code, code);
  }

  finished(classId: number, as: FinishedAs): void {
    this.classes.of(classId).finished[as]++;
  }
}

/** Tasks by what was done to them and whether it was. */
export class ChangeCounts {
  readonly counts: Readonly<Record<ChangeKind, { done: number; skipped: number }>> = {
    cancel: { done: 0, skipped: 0 },
    retry: { done: 0, skipped: 0 },
    move: { done: 0, skipped: 0 },
    set_priority: { done: 0, skipped: 0 },
    delete: { done: 0, skipped: 0 },
  };

  count(kind: ChangeKind, outcome: "done" | "skipped", tasks = 1): void {
    this.counts[kind][outcome] += tasks;
  }
}

function endOf({ state, detail }: Extract<OutcomeDecision, { kind: "finish" }>): FinishedAs {
  return state === "succeeded" && detail === "succeeded_with_warnings" ? detail : state;
}
