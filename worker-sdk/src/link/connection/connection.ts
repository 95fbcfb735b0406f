/** The connection to the scheduler across reconnects. */
import type { Welcome } from "@muster/protocol";
import type { LimitReport } from "../../adaptive/adaptive-limit.ts";
import type { Clock } from "../../clock.ts";
import { durationFromMs, msFromDuration } from "../../duration.ts";
import { adaptiveLimits, durationsMs, encode, resourceStates, startupPhase } from "../codec/wire.ts";
import { BlockedStack } from "../health/blocked-stack.ts";
import { Counters } from "../health/counters.ts";
import { type HealthFacts, type HealthReport, liveness, readiness } from "../health/health.ts";
import { HeartbeatSender } from "../health/heartbeat.ts";
import { measureWorker } from "../health/measure-worker.ts";
import { type Measures, prometheusText } from "../health/measures.ts";
import { ProcessMetrics } from "../health/process-metrics.ts";
import type { FromLink, LinkData, ResourceStateMessage, StartupPhaseMessage, ToLink } from "../messages.ts";
import { AttemptReports } from "../outbox/attempt-reports.ts";
import { CheckpointQueue } from "../outbox/checkpoints.ts";
import { InFlightAttempts } from "../outbox/in-flight.ts";
import { KeyPauseRequests } from "../outbox/key-pauses.ts";
import { LogOutbox } from "../outbox/log-outbox.ts";
import { Outbox } from "../outbox/outbox.ts";
import { SLOT_RELEASE } from "../outbox/slot-reports.ts";
import { PauseReports } from "../pressure/pause-reports.ts";
import type { SharedState } from "../shared.ts";
import { StackRequests } from "../stacks/stack-requests.ts";
import { Dialer } from "./dialer.ts";
import { FatalSender } from "./fatal-sender.ts";
import { buildHello } from "./hello.ts";
import { SchedulerMessages } from "./scheduler-messages.ts";
import { Shutdown } from "./shutdown.ts";
import type { Stream } from "./stream.ts";
import type { StreamEnd } from "./stream-end.ts";

/** Feature of a scheduler that accepts starts in the same message as the acceptance. */
const BRIEF_STARTS = "brief_starts";

/** Feature of a scheduler that follows the limits of heartbeats. */
const ADAPTIVE_LIMITS = "adaptive_limits";

/** Heartbeat interval when Welcome names none. */
const DEFAULT_HEARTBEAT_MS = 5000;

/** Connects the main thread and the stream: converts main's messages to the protocol's and back. */
export class Connection {
  readonly #data: LinkData;
  readonly #clock: Clock;
  readonly #emit: (message: FromLink) => void;
  readonly #shared: SharedState;
  readonly #inFlight = new InFlightAttempts();
  readonly #counters = new Counters();
  readonly #attempts: AttemptReports;
  readonly #processMetrics: ProcessMetrics;
  readonly #outbox: Outbox;
  readonly #checkpoints: CheckpointQueue;
  readonly #logs: LogOutbox;
  readonly #keyPauses: KeyPauseRequests;
  readonly #dialer: Dialer;
  readonly #heartbeats: HeartbeatSender;
  readonly #shutdown: Shutdown;
  readonly #fatal: FatalSender;
  readonly #messages: SchedulerMessages;
  readonly #phases: StartupPhaseMessage[];
  #phasesSent = 0;
  #logsScheduled = false;
  #ready = false;
  #dialed = false;
  #welcomed = false;
  #resources: readonly string[];
  #resourceStates: readonly ResourceStateMessage[] = [];
  readonly #limits: Map<string, LimitReport>;
  readonly #pauses: PauseReports;
  readonly #blockedStack: BlockedStack | undefined;
  readonly #stacks: StackRequests;

  constructor(data: LinkData, clock: Clock, shared: SharedState, emit: (message: FromLink) => void) {
    this.#data = data;
    this.#clock = clock;
    this.#emit = emit;
    this.#shared = shared;
    this.#resources = data.resources;
    this.#limits = new Map(
      data.types.flatMap(({ type, limit }) => (limit === undefined ? [] : [[type, limit]])),
    );
    this.#phases = [...data.startupPhases];
    this.#processMetrics = new ProcessMetrics(clock, shared);
    this.#checkpoints = new CheckpointQueue(this.#inFlight, emit);
    this.#outbox = new Outbox(
      this.#inFlight,
      this.#checkpoints,
      (kind, count) => {
        this.#counters.add("messages_shed", count);
        this.#counters.add(`${kind}_shed`, count);
      },
      clock,
    );
    this.#logs = new LogOutbox(clock, this.#counters);
    this.#keyPauses = new KeyPauseRequests(clock, { send: (kind) => this.#outbox.control(kind), emit });
    this.#attempts = new AttemptReports({
      clock,
      inFlight: this.#inFlight,
      outbox: this.#outbox,
      counters: this.#counters,
      processMetrics: this.#processMetrics,
      emit,
      changed: () => this.#heartbeats.soon(),
      types: new Set(data.types.map(({ type }) => type)),
    });
    this.#pauses = new PauseReports({
      limits: data.pressure,
      clock,
      counters: this.#counters,
      loopDelayMs: () => Math.max(shared.delayP99Ms, this.#processMetrics.loopAgeMs),
      changed: () => this.#heartbeats.soon(),
      emit,
    });
    this.#blockedStack = data.stacks
      ? new BlockedStack({
          clock,
          // Loaded when it is needed: most workers never are blocked.
          read: async () => (await import("../health/main-stack.ts")).readMainStack(),
          changed: () => this.#heartbeats.soon(),
          unavailable: (error) => {
            const fields = { error: error instanceof Error ? error.message : String(error) };
            const message = "the stack of the main loop cannot be read";
            emit({ kind: "log", level: "debug", event: "worker.stack.unavailable", fields, message });
          },
        })
      : undefined;
    this.#stacks = new StackRequests({
      ...{ clock, data, shared, emit },
      attempts: this.#inFlight,
      send: (kind) => this.#outbox.control(kind),
    });
    this.#heartbeats = new HeartbeatSender(clock, {
      send: (sequence) => this.#sendHeartbeat(sequence),
      unanswered: (silentMs) => {
        this.#counters.add("heartbeat_failures");
        this.#dialer.redial(`heartbeats unanswered for ${Math.round(silentMs)} ms`);
      },
    });
    this.#dialer = new Dialer(data, clock, {
      dialing: (address) => {
        this.#emit({ kind: "connecting", address, first: !this.#dialed });
        this.#dialed = true;
      },
      hello: (lastError) => {
        this.#phasesSent = this.#phases.length;
        return buildHello(data, {
          resources: this.#resources,
          inFlight: this.#inFlight.describe(this.#clock.monotonicMs()),
          limits: adaptiveLimits(this.#limits, this.#clock.monotonicMs()),
          phases: this.#phases,
          lastError: this.registered ? lastError : "",
          ready: this.#ready,
          draining: this.#attempts.draining,
        });
      },
      welcome: (welcome, stream, address) => this.#welcome(welcome, stream, address),
      message: (message) => this.#messages.receive(message),
      writable: () => {
        this.#outbox.flush();
        this.#logs.flush();
      },
      down: () => this.#down(),
      ended: (end) => this.#fatal.streamEnded(end),
      disconnected: (address, error, retryInMs) => this.#disconnected(address, error, retryInMs),
      verdict: ({ status, reason, message }) => this.#emit({ kind: "verdict", status, reason, message }),
      superseded: (end) => this.#superseded(end),
    });
    this.#fatal = new FatalSender(clock, this.#dialer, {
      unsentPhases: () => {
        const unsent = this.#phases.slice(this.#phasesSent);
        this.#phasesSent = this.#phases.length;
        return unsent;
      },
      answered: (accepted) => shared.markFatalSent(accepted),
    });
    this.#shutdown = new Shutdown({
      clock,
      pendingResults: () => this.#inFlight.pendingResults,
      pendingLogs: () => !this.#logs.isEmpty,
      registered: () => this.#dialer.registered,
      sendGoodbye: (reason) => this.#sendGoodbye(reason),
      end: () => this.#end(),
    });
    this.#messages = new SchedulerMessages({
      attempts: this.#attempts,
      inFlight: this.#inFlight,
      heartbeats: this.#heartbeats,
      counters: this.#counters,
      shutdown: this.#shutdown,
      logs: this.#logs,
      keyPauses: this.#keyPauses,
      outbox: this.#outbox,
      stacks: this.#stacks,
      emit,
    });
  }

  /** Registered at least once. */
  get registered(): boolean {
    return this.#dialer.registered;
  }

  /** Why the last dial or stream failed. */
  get lastError(): string {
    return this.#dialer.lastError;
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
    this.#dialer.dial();
  }

  /** Stops dialling and cuts the stream. */
  abandon(): void {
    this.#dialer.stop();
    this.#heartbeats.stop();
    this.#dialer.stream?.cut("the worker gave up");
  }

  /** Handles a message of main. */
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
      case "phaseExtended":
        this.#attempts.phaseExtended(message);
        return;
      case "phaseEnded":
        this.#attempts.phaseEnded(message);
        return;
      case "progress":
        this.#attempts.progress(message);
        return;
      case "checkpoint":
        this.#attempts.checkpoint(message);
        return;
      case "limit":
        this.#limits.set(message.type, message.limit);
        this.#counters.limitChanges.add(message.type);
        // Before what main releases because of it.
        this.#heartbeats.now();
        return;
      case "expect":
        this.#attempts.expect(message);
        return;
      case "iterations":
        this.#attempts.iterations(message);
        return;
      case "output":
        this.#attempts.output(message);
        return;
      case "logs": {
        const { attemptId, lines, endSequence, dropped } = message;
        this.#logs.add(attemptId, lines, endSequence, dropped);
        this.#flushLogsSoon();
        return;
      }
      case "step":
        this.#attempts.step(message);
        return;
      case "handlerReport":
        this.#attempts.handlerReport(message);
        return;
      case "slot":
        this.#attempts.slot(message);
        return;
      case "cancelling":
        this.#attempts.cancelling(message.attemptId);
        return;
      case "batch":
        this.#counters.batches.add(message.type);
        this.#counters.batchMembers.add(message.type, message.size);
        return;
      case "result":
        this.#attempts.result(message);
        return;
      case "pauseKey":
        this.#keyPauses.ask(message);
        return;
      case "forget":
        this.#attempts.returned(message.attemptId);
        return;
      case "resources":
        this.#resources = message.resources;
        this.#heartbeats.soon();
        return;
      case "resourceStates":
        this.#resourceStates = message.states;
        this.#heartbeats.soon();
        return;
      case "paused":
        this.#pauses.note(message.by, message.reason);
        return;
      case "probed":
        this.#pauses.probed(message.reason);
        return;
      case "probeFailed":
        this.#counters.add("probe_failures");
        return;
      case "draining":
        this.#attempts.draining = true;
        this.#outbox.control({
          case: "draining",
          value: { reason: message.reason, timeout: durationFromMs(message.deadlineMs) },
        });
        return;
      case "isolatedStacks":
        this.#stacks.isolated(message.processes);
        return;
      case "fatal":
        this.#heartbeats.stop();
        this.#outbox.flush();
        this.#fatal.send(message.fatal);
        return;
      case "finish":
        this.#attempts.draining = true;
        this.#shutdown.begin(message.reason, message.flushMs);
        return;
      default:
        message satisfies never;
    }
  }

  #welcome(welcome: Welcome, stream: Stream, address: string): void {
    this.#messages.decided(welcome.decisions);
    if (this.#welcomed) this.#counters.add("reconnects");
    this.#emit({
      kind: "registered",
      address,
      serverId: welcome.schedulerId,
      first: !this.#welcomed,
      maxResultBytes: Number(welcome.maxResultBytes),
      pauseReason: welcome.pause?.reason,
      phaseWarningsMs: durationsMs(welcome.phaseWarnings),
      followsLimits: welcome.features.includes(ADAPTIVE_LIMITS),
      slotRelease: welcome.features.includes(SLOT_RELEASE),
    });
    this.#welcomed = true;
    this.#checkpoints.open(welcome.features);
    this.#outbox.open(stream, welcome.features.includes(BRIEF_STARTS), welcome.features);
    this.#keyPauses.open(welcome.features);
    this.#logs.open(stream, welcome.features);
    this.#sendPhases();
    this.#heartbeats.start(msFromDuration(welcome.heartbeatInterval) || DEFAULT_HEARTBEAT_MS);
    this.#shutdown.endWhenAcknowledged();
  }

  /** After the results and events of the same turn. */
  #flushLogsSoon(): void {
    if (this.#logsScheduled) return;
    this.#logsScheduled = true;
    setImmediate(() => {
      this.#logsScheduled = false;
      this.#outbox.flush();
      this.#logs.flush();
    });
  }

  #sendPhases(): void {
    if (!this.#dialer.up) return;
    for (const phase of this.#phases.slice(this.#phasesSent)) {
      this.#outbox.control({ case: "startupPhase", value: startupPhase(phase) });
    }
    this.#phasesSent = this.#phases.length;
  }

  #sendHeartbeat(sequence: bigint): void {
    const processMetrics = this.#processMetrics.measure();
    this.#blockedStack?.look(this.#processMetrics.loopAgeMs);
    for (const attempt of this.#inFlight.values()) {
      attempt.peakRssBytes = Math.max(attempt.peakRssBytes, this.#processMetrics.rssBytes);
    }
    this.#counters.set("heartbeats", sequence);
    this.#counters.set("outbox_size", BigInt(this.#inFlight.pendingResults));
    this.#dialer.stream?.write(
      encode({
        case: "heartbeat",
        value: {
          ...processMetrics,
          ...this.#blockedStack?.inHeartbeat(),
          sequence,
          slotCount: this.#data.slots,
          running: this.#inFlight.describe(this.#clock.monotonicMs()),
          resources: [...this.#resources],
          ...this.#pauses.inHeartbeat(),
          counters: this.#counters.totals(),
          resourceStates: resourceStates(this.#resourceStates, this.#clock.monotonicMs()),
          adaptiveLimits: adaptiveLimits(this.#limits, this.#clock.monotonicMs()),
        },
      }),
    );
    const fields = {
      sequence: Number(sequence),
      held: this.#inFlight.size,
      loop_age_ms: this.#processMetrics.loopAgeMs,
    };
    this.#emit({ kind: "log", level: "debug", event: "worker.heartbeat", fields, message: "heartbeat sent" });
    this.#emit({ kind: "measures", measures: this.#measure() });
  }

  #measure(): Measures {
    return measureWorker({
      counters: this.#counters,
      inFlight: this.#inFlight,
      processMetrics: this.#processMetrics,
      shared: this.#shared,
      slots: this.#data.slots,
      limits: this.#limits,
      connected: this.#dialer.up,
    });
  }

  #healthFacts(): HealthFacts {
    return {
      registered: this.registered,
      connected: this.#dialer.up,
      lastError: this.lastError,
      unansweredMs: this.#heartbeats.unansweredMs,
      answerWithinMs: this.#heartbeats.answerWithinMs,
      ready: this.#ready,
      lastPhase: this.lastPhase,
      draining: this.#attempts.draining,
      paused: this.#pauses.inWords,
      loopAgeMs: this.#processMetrics.loopAgeMs,
      blockedLimitMs: this.#data.http?.blockedLimitMs ?? 0,
    };
  }

  #down(): void {
    this.#heartbeats.stop();
    this.#outbox.close();
    this.#logs.close();
    this.#keyPauses.close();
  }

  #disconnected(address: string, error: string, retryInMs: number): void {
    // The scheduler ends the stream in answer to Goodbye: the connection is not lost.
    if (!this.#shutdown.goodbyeSent) this.#emit({ kind: "disconnected", address, error, retryInMs });
    this.#shutdown.disconnected();
  }

  #superseded(end: StreamEnd): void {
    this.#emit({ kind: "superseded", message: end.message });
  }

  #sendGoodbye(reason: string): boolean {
    this.#heartbeats.stop();
    this.#outbox.flush();
    const stream = this.#dialer.stream;
    if (stream === undefined || !this.#dialer.up) return false;
    stream.write(encode({ case: "goodbye", value: { reason, counters: this.#counters.totals() } }));
    stream.end();
    return true;
  }

  #end(): void {
    this.abandon();
    this.#logs.stop();
    const { pendingResults: unackedResults } = this.#inFlight;
    this.#emit({ kind: "ended", unackedResults, unsentLogLines: this.#logs.lineCount });
  }
}
