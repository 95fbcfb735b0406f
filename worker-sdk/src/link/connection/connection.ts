/** The connection to the scheduler across reconnects. */
import type { Welcome } from "@muster/protocol";
import type { Clock } from "../../clock.ts";
import { msFromDuration } from "../../duration.ts";
import { adaptiveLimits, durationsMs, encode, startupPhase } from "../codec/wire.ts";
import { BlockedStack } from "../health/blocked-stack.ts";
import { Counters } from "../health/counters.ts";
import { type HealthFacts, type HealthReport, liveness, readiness } from "../health/health.ts";
import { HeartbeatSender } from "../health/heartbeat.ts";
import { prometheusText } from "../health/measures.ts";
import { ProcessMetrics } from "../health/process-metrics.ts";
import { useOf } from "../health/process-use.ts";
import { WorkerStatus } from "../health/worker-status.ts";
import type { FromLink, ToLink } from "../messages.ts";
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
import type { LinkData } from "../thread-data.ts";
import { Dialer } from "./dialer.ts";
import { FatalSender } from "./fatal-sender.ts";
import { buildHello } from "./hello.ts";
import { MainMessages } from "./main-messages.ts";
import { SchedulerMessages } from "./scheduler-messages.ts";
import { Shutdown } from "./shutdown.ts";
import { StartupPhases } from "./startup-phases.ts";
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
  readonly #fromScheduler: SchedulerMessages;
  readonly #fromMain: MainMessages;
  readonly #phases: StartupPhases;
  readonly #status: WorkerStatus;
  #dialed = false;
  #welcomed = false;
  readonly #pauses: PauseReports;
  readonly #stacks: StackRequests;

  constructor(data: LinkData, clock: Clock, shared: SharedState, emit: (message: FromLink) => void) {
    this.#data = data;
    this.#clock = clock;
    this.#emit = emit;
    this.#phases = new StartupPhases(data.startupPhases);
    this.#processMetrics = new ProcessMetrics(
      clock,
      shared,
      data.elsewhere === undefined ? undefined : useOf(data.elsewhere.pid),
    );
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
    const blockedStack = data.stacks
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
    this.#status = new WorkerStatus({
      ...{ data, clock, shared, blockedStack },
      counters: this.#counters,
      inFlight: this.#inFlight,
      processMetrics: this.#processMetrics,
      pauses: this.#pauses,
    });
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
      hello: (lastError) =>
        buildHello(data, {
          resources: this.#status.resources,
          inFlight: this.#inFlight.describe(this.#clock.monotonicMs()),
          limits: adaptiveLimits(this.#status.limits, this.#clock.monotonicMs()),
          phases: this.#phases.takeAll(),
          lastError: this.registered ? lastError : "",
          ready: this.#phases.ready,
          draining: this.#attempts.draining || data.ending === true,
        }),
      welcome: (welcome, stream, address) => this.#welcome(welcome, stream, address),
      message: (message) => this.#fromScheduler.receive(message),
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
      unsentPhases: () => this.#phases.takeUnsent(),
      pendingResults: () => this.#inFlight.pendingResults,
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
    this.#fromScheduler = new SchedulerMessages({
      attempts: this.#attempts,
      inFlight: this.#inFlight,
      heartbeats: this.#heartbeats,
      counters: this.#counters,
      shutdown: this.#shutdown,
      fatal: this.#fatal,
      logs: this.#logs,
      keyPauses: this.#keyPauses,
      outbox: this.#outbox,
      stacks: this.#stacks,
      emit,
    });
    this.#fromMain = new MainMessages({
      attempts: this.#attempts,
      counters: this.#counters,
      heartbeats: this.#heartbeats,
      status: this.#status,
      outbox: this.#outbox,
      logs: this.#logs,
      keyPauses: this.#keyPauses,
      pauses: this.#pauses,
      stacks: this.#stacks,
      fatal: this.#fatal,
      shutdown: this.#shutdown,
      startupPhase: (phase) => {
        this.#phases.add(phase);
        this.#sendPhases();
      },
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
    return this.#phases.last;
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
    return prometheusText(this.#status.measure(this.#dialer.up));
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

  /** Handles a message of the main thread. */
  handle(message: ToLink): void {
    this.#fromMain.receive(message);
  }

  #welcome(welcome: Welcome, stream: Stream, address: string): void {
    this.#fromScheduler.decided(welcome.decisions);
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

  #sendPhases(): void {
    if (!this.#dialer.up) return;
    for (const phase of this.#phases.takeUnsent())
      this.#outbox.control({ case: "startupPhase", value: startupPhase(phase) });
  }

  #sendHeartbeat(sequence: bigint): void {
    const value = this.#status.heartbeat(sequence);
    this.#dialer.stream?.write(encode({ case: "heartbeat", value }));
    const fields = {
      sequence: Number(sequence),
      held: this.#inFlight.size,
      loop_age_ms: this.#processMetrics.loopAgeMs,
    };
    this.#emit({ kind: "log", level: "debug", event: "worker.heartbeat", fields, message: "heartbeat sent" });
    this.#emit({ kind: "measures", measures: this.#status.measure(this.#dialer.up) });
  }

  #healthFacts(): HealthFacts {
    return {
      registered: this.registered,
      connected: this.#dialer.up,
      lastError: this.lastError,
      unansweredMs: this.#heartbeats.unansweredMs,
      answerWithinMs: this.#heartbeats.answerWithinMs,
      ready: this.#phases.ready,
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
