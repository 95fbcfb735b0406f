import type { SchedulerMessage, Welcome } from "@muster/protocol";
import type { Clock } from "../clock.ts";
import { durationFromMs, msFromDuration } from "../duration.ts";
import { AttemptReports } from "./attempt-reports.ts";
import { Beats } from "./beats.ts";
import { Counters } from "./counters.ts";
import { type HealthFacts, type HealthReport, liveness, readiness } from "./health.ts";
import { HeldAttempts } from "./held.ts";
import { buildHello } from "./hello.ts";
import { Lanes } from "./lanes.ts";
import { type Measures, prometheusText } from "./measures.ts";
import type {
  FatalMessage,
  FromLink,
  LinkData,
  ResourceStateMessage,
  StartupPhaseMessage,
  ToLink,
} from "./messages.ts";
import { Session } from "./session.ts";
import type { SharedState } from "./shared.ts";
import type { StreamEnd } from "./status.ts";
import type { Stream } from "./stream.ts";
import { Vitals } from "./vitals.ts";
import { durationsMs, encode, resourceStates, startupPhase } from "./wire.ts";

/** Feature of a scheduler that takes starts with the acceptance. */
const BRIEF_STARTS = "brief_starts";

/** How long a goodbye waits for the scheduler to end the stream. */
const GOODBYE_MS = 1000;

/** Last words that are not answered within this are told again on a connection of their own. */
const FATAL_ANSWER_MS = 400;

/** Wait before last words are told again. */
const FATAL_REDIAL_MS = 50;

/** Heartbeat interval when Welcome names none. */
const DEFAULT_HEARTBEAT_MS = 5000;

/** The thread's end of everything: turns main's messages into the stream's and back. */
export class Connection {
  readonly #data: LinkData;
  readonly #clock: Clock;
  readonly #emit: (message: FromLink) => void;
  readonly #shared: SharedState;
  readonly #held = new HeldAttempts();
  readonly #counters = new Counters();
  readonly #attempts: AttemptReports;
  readonly #vitals: Vitals;
  readonly #lanes: Lanes;
  readonly #session: Session;
  readonly #beats: Beats;
  readonly #phases: StartupPhaseMessage[];
  #phasesSent = 0;
  #ready = false;
  #dialed = false;
  #welcomed = false;
  #resources: readonly string[];
  #resourceStates: readonly ResourceStateMessage[] = [];
  #paused = { paused: false, reason: "" };
  #finish: { reason: string; cancelTimer: () => void; leaving: boolean } | undefined;
  #fatal: FatalMessage | undefined;

  constructor(data: LinkData, clock: Clock, shared: SharedState, emit: (message: FromLink) => void) {
    this.#data = data;
    this.#clock = clock;
    this.#emit = emit;
    this.#shared = shared;
    this.#resources = data.resources;
    this.#phases = [...data.startupPhases];
    this.#vitals = new Vitals(clock, shared);
    this.#lanes = new Lanes(this.#held, (kind, count) => {
      this.#counters.add("messages_shed", count);
      this.#counters.add(`${kind}_shed`, count);
    });
    this.#attempts = new AttemptReports({
      clock,
      held: this.#held,
      lanes: this.#lanes,
      counters: this.#counters,
      vitals: this.#vitals,
      emit,
      types: new Set(data.types.map(({ type }) => type)),
    });
    this.#beats = new Beats(clock, {
      send: (sequence) => this.#sendBeat(sequence),
      unanswered: (silentMs) => {
        this.#counters.add("heartbeat_failures");
        this.#session.redial(`heartbeats unanswered for ${Math.round(silentMs)} ms`);
      },
    });
    this.#session = new Session(data, clock, {
      dialing: (address) => {
        this.#emit({ kind: "connecting", address, first: !this.#dialed });
        this.#dialed = true;
      },
      hello: (lastError) => {
        this.#phasesSent = this.#phases.length;
        return buildHello(data, {
          resources: this.#resources,
          inFlight: this.#held.describe(this.#clock.monotonicMs()),
          phases: this.#phases,
          lastError: this.registered ? lastError : "",
          ready: this.#ready,
          draining: this.#attempts.draining,
        });
      },
      welcome: (welcome, stream, address) => this.#welcome(welcome, stream, address),
      message: (message) => this.#receive(message),
      writable: () => this.#lanes.flush(),
      down: () => this.#down(),
      ended: (end) => {
        if (this.#fatal !== undefined) this.#fatalStreamEnded(this.#fatal, end);
      },
      disconnected: (address, error, retryInMs) => this.#disconnected(address, error, retryInMs),
      verdict: ({ status, reason, message }) => this.#emit({ kind: "verdict", status, reason, message }),
      superseded: (end) => this.#superseded(end),
    });
  }

  /** Registered at least once. */
  get registered(): boolean {
    return this.#session.registered;
  }

  /** Why the last dial or stream failed. */
  get lastError(): string {
    return this.#session.lastError;
  }

  /** Last startup phase that main reported, or empty. */
  get lastPhase(): string {
    return this.#phases.at(-1)?.phase ?? "";
  }

  /** For `/livez`. */
  live(): HealthReport {
    return liveness(this.#healthFacts());
  }

  /** For `/readyz`. */
  ready(): HealthReport {
    return readiness(this.#healthFacts());
  }

  /** For `/metrics`. */
  metrics(): string {
    return prometheusText(this.#measure());
  }

  /** Dials. */
  start(): void {
    this.#session.dial();
  }

  /** Dials no more and gives the stream up. */
  abandon(): void {
    this.#session.stop();
    this.#beats.stop();
    this.#session.stream?.cut("the worker gave up");
  }

  /** Takes a message of main. */
  handle(message: ToLink): void {
    switch (message.kind) {
      case "startupPhase":
        this.#phases.push(message.phase);
        if (message.phase.phase === "ready") this.#ready = true;
        this.#sendPhases();
        return;
      case "accept":
        this.#attempts.accept(message.attemptIds);
        return;
      case "started":
        this.#attempts.started(message);
        return;
      case "succeeded":
        this.#attempts.succeeded(message);
        return;
      case "reject":
        this.#attempts.reject(message.attemptId, message.reason, message.detail);
        return;
      case "event":
        this.#attempts.event(message);
        return;
      case "phaseStarted":
        this.#attempts.phaseStarted(message);
        return;
      case "phaseEnded":
        this.#attempts.phaseEnded(message);
        return;
      case "progress":
        this.#attempts.progress(message);
        return;
      case "output":
        this.#attempts.output(message);
        return;
      case "cancelling":
        this.#attempts.cancelling(message.attemptId);
        return;
      case "result":
        this.#attempts.result(message);
        return;
      case "forget":
        this.#attempts.forget(message.attemptId);
        return;
      case "resources":
        this.#resources = message.resources;
        this.#beats.soon();
        return;
      case "resourceStates":
        this.#resourceStates = message.states;
        this.#beats.soon();
        return;
      case "paused":
        if (message.paused) this.#counters.pauses.add(message.reason);
        this.#paused = { paused: message.paused, reason: message.reason };
        this.#beats.soon();
        return;
      case "draining":
        this.#attempts.draining = true;
        this.#lanes.control({
          case: "draining",
          value: { reason: message.reason, deadline: durationFromMs(message.deadlineMs) },
        });
        return;
      case "fatal":
        this.#sendFatal(message.fatal);
        return;
      case "finish":
        this.#beginFinish(message.reason, message.flushMs);
        return;
      default:
        message satisfies never;
    }
  }

  #welcome(welcome: Welcome, stream: Stream, address: string): void {
    for (const decision of welcome.decisions) {
      const { attemptId, keep, reason, cancelled } = decision;
      if (!keep) this.#attempts.revoke(attemptId, reason || "not kept at reconnect");
      else if (cancelled && this.#held.get(attemptId)?.result === undefined) {
        const message = { attemptId, reason: "cancelled while disconnected", graceMs: undefined };
        this.#emit({ kind: "cancel", ...message, timedOut: false });
      }
    }
    if (this.#welcomed) this.#counters.add("reconnects");
    this.#emit({
      kind: "registered",
      address,
      serverId: welcome.serverId,
      first: !this.#welcomed,
      maxResultBytes: Number(welcome.maxResultBytes),
      phaseWarningsMs: durationsMs(welcome.phaseWarnings),
    });
    this.#welcomed = true;
    this.#lanes.open(stream, welcome.features.includes(BRIEF_STARTS));
    this.#sendPhases();
    this.#beats.start(msFromDuration(welcome.heartbeatInterval) || DEFAULT_HEARTBEAT_MS);
    this.#finishWhenSettled();
  }

  #receive({ kind }: SchedulerMessage): void {
    switch (kind.case) {
      case "heartbeatAck":
        this.#beats.answered();
        return;
      case "assignments":
        this.#attempts.assignments(kind.value.assignments);
        return;
      case "cancelAttempt": {
        const { attemptId, reason, grace, timedOut } = kind.value;
        if (this.#held.get(attemptId) === undefined) return;
        this.#emit({ kind: "cancel", attemptId, reason, graceMs: msFromDuration(grace), timedOut });
        return;
      }
      case "revokeAttempt":
        this.#attempts.revoke(kind.value.attemptId, kind.value.reason);
        return;
      case "resultAcks": {
        const told: string[] = [];
        for (const { attemptId, stale, invalid, detail } of kind.value.acks) {
          const tell = this.#held.get(attemptId)?.tell === true;
          this.#attempts.forget(attemptId);
          if (!stale && !invalid) {
            if (tell) told.push(attemptId);
            continue;
          }
          this.#counters.add("results_refused");
          this.#emit({ kind: "refused", attemptId, stale, detail });
        }
        if (told.length > 0) this.#emit({ kind: "acknowledged", attemptIds: told });
        this.#finishWhenSettled();
        return;
      }
      case "drain": {
        const { reason, deadline } = kind.value;
        this.#emit({ kind: "drain", reason, deadlineMs: msFromDuration(deadline) });
        return;
      }
      case "pause":
        this.#emit({ kind: "pause", reason: kind.value.reason });
        return;
      case "resume":
        this.#emit({ kind: "resume", reason: kind.value.reason });
        return;
      case "prepareResource": {
        const { resource, waitingTaskCount } = kind.value;
        this.#emit({ kind: "prepareResource", resource, waitingTasks: Number(waitingTaskCount) });
        return;
      }
      case "releaseResource":
        this.#emit({ kind: "releaseResource", resource: kind.value.resource, reason: kind.value.reason });
        return;
      case "queueView":
        this.#emit({
          kind: "queueView",
          entries: kind.value.entries.map(({ queue, type, readyCount, removedBy, detail }) => ({
            queue,
            type,
            ready: Number(readyCount),
            removed_by: removedBy,
            detail,
          })),
        });
        return;
      default:
        // A newer scheduler's message, or a second Welcome.
        this.#counters.add("unknown_messages");
    }
  }

  #sendPhases(): void {
    if (!this.#session.up) return;
    for (const phase of this.#phases.slice(this.#phasesSent)) {
      this.#lanes.control({ case: "startupPhase", value: startupPhase(phase) });
    }
    this.#phasesSent = this.#phases.length;
  }

  #sendBeat(sequence: bigint): void {
    const vitals = this.#vitals.measure();
    for (const attempt of this.#held.values()) {
      attempt.peakRssBytes = Math.max(attempt.peakRssBytes, this.#vitals.rssBytes);
    }
    this.#counters.set("heartbeats", sequence);
    this.#counters.set("outbox_size", BigInt(this.#held.pendingResults));
    this.#session.stream?.write(
      encode({
        case: "heartbeat",
        value: {
          ...vitals,
          sequence,
          slotCount: this.#data.slots,
          running: this.#held.describe(this.#clock.monotonicMs()),
          resources: [...this.#resources],
          paused: this.#paused.paused,
          pauseReason: this.#paused.reason,
          counters: this.#counters.totals(),
          resourceStates: resourceStates(this.#resourceStates, this.#clock.monotonicMs()),
        },
      }),
    );
    const fields = { sequence: Number(sequence), held: this.#held.size, loop_age_ms: this.#vitals.loopAgeMs };
    this.#emit({ kind: "log", level: "debug", event: "worker.heartbeat", fields, message: "heartbeat sent" });
    this.#emit({ kind: "measures", measures: this.#measure() });
  }

  #measure(): Measures {
    const counters = this.#counters;
    const { user, system } = process.cpuUsage();
    const outcomes = ["succeeded", "failed", "cancelled", "released"];
    return {
      concurrentJobs: this.#held.runningCount,
      slots: this.#data.slots,
      outboxSize: this.#held.pendingResults,
      heartbeats: counters.get("heartbeats"),
      heartbeatFailures: counters.get("heartbeat_failures"),
      reconnects: counters.get("reconnects"),
      duplicates: counters.get("duplicate_assignments"),
      pauses: counters.pauses.counts(),
      retries: counters.retries.counts(),
      shed: {
        progress: counters.get("progress_shed") + counters.get("progress_coalesced"),
        output: counters.get("output_shed"),
        event: counters.get("events_dropped"),
      },
      finished: Object.fromEntries(outcomes.map((outcome) => [outcome, counters.get(`tasks_${outcome}`)])),
      eventLoopDelayS: Math.max(this.#shared.delayP99Ms, this.#vitals.loopAgeMs) / 1000,
      connected: this.#session.up,
      cpuS: (user + system) / 1e6,
      rssBytes: this.#vitals.rssBytes,
      heapUsedBytes: this.#shared.heapUsedBytes,
    };
  }

  #healthFacts(): HealthFacts {
    return {
      registered: this.registered,
      connected: this.#session.up,
      lastError: this.lastError,
      unansweredMs: this.#beats.unansweredMs,
      answerWithinMs: this.#beats.answerWithinMs,
      ready: this.#ready,
      lastPhase: this.lastPhase,
      draining: this.#attempts.draining,
      paused: this.#paused.paused ? this.#paused.reason : undefined,
      loopAgeMs: this.#vitals.loopAgeMs,
      blockedLimitMs: this.#data.http?.blockedLimitMs ?? 0,
    };
  }

  #down(): void {
    this.#beats.stop();
    this.#lanes.close();
  }

  #disconnected(address: string, error: string, retryInMs: number): void {
    // The scheduler ends the stream in answer to the goodbye: that is no lost connection.
    if (!this.#finish?.leaving) this.#emit({ kind: "disconnected", address, error, retryInMs });
    if (this.#finish?.leaving || (this.#finish !== undefined && this.#held.pendingResults === 0)) this.#end();
  }

  #superseded(end: StreamEnd): void {
    this.#emit({ kind: "superseded", message: end.message });
  }

  #beginFinish(reason: string, flushMs: number): void {
    if (this.#finish !== undefined) return;
    this.#attempts.draining = true;
    this.#finish = {
      reason,
      leaving: false,
      cancelTimer: this.#clock.after(flushMs, () => this.#leave()),
    };
    this.#finishWhenSettled();
  }

  #finishWhenSettled(): void {
    if (this.#finish === undefined || this.#finish.leaving) return;
    if (this.#held.pendingResults === 0 || !this.#session.registered) this.#leave();
  }

  #leave(): void {
    const finish = this.#finish;
    if (finish === undefined || finish.leaving) return;
    finish.leaving = true;
    finish.cancelTimer();
    this.#beats.stop();
    this.#lanes.flush();
    const stream = this.#session.stream;
    if (stream === undefined || !this.#session.up) {
      this.#end();
      return;
    }
    const value = { reason: finish.reason, counters: this.#counters.totals() };
    stream.write(encode({ case: "goodbye", value }));
    stream.end();
    // A stream that ends now ends the link, by `disconnected`.
    finish.cancelTimer = this.#clock.after(GOODBYE_MS, () => this.#end());
  }

  #end(): void {
    this.#finish?.cancelTimer();
    this.abandon();
    this.#emit({ kind: "ended", unackedResults: this.#held.pendingResults });
  }

  #sendFatal(fatal: FatalMessage): void {
    if (this.#fatal !== undefined) return;
    this.#fatal = fatal;
    this.#beats.stop();
    this.#session.stop();
    this.#tellFatal(fatal);
  }

  /** On the stream there is, or on one dialled for it. */
  #tellFatal(fatal: FatalMessage): void {
    if (this.#session.stream === undefined) this.#session.dialOnce();
    const stream = this.#session.stream;
    if (stream === undefined) return;
    // The stream's end, which the scheduler sends once it has read everything, says that it is out.
    stream.write(encode({ case: "workerFatal", value: fatal }), () => stream.end());
    // A connection that was cut without a word never ends: another one may get through.
    this.#clock.after(FATAL_ANSWER_MS, () => {
      if (!stream.ended) stream.cut("the last words were not answered");
    });
  }

  #fatalStreamEnded(fatal: FatalMessage, end: StreamEnd): void {
    if (end.status === "OK") this.#shared.markFatalSent(true);
    else if (end.verdict) this.#shared.markFatalSent(false);
    // Main waits for a while and then ends this thread.
    else this.#clock.after(FATAL_REDIAL_MS, () => this.#tellFatal(fatal));
  }
}
