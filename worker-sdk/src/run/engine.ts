/** Runs a started worker: link, attempts, shutdown. */
import { Children } from "../attempt/children/children.ts";
import { readThrownPromise } from "../attempt/failure/thrown-promise.ts";
import { processAgeMs, settledWithin, systemClock } from "../clock.ts";
import {
  HttpListenError,
  IsolationError,
  LifespanError,
  LinkError,
  PreflightError,
  StartupTimeoutError,
  SupersededError,
  VerdictError,
  WorkerStoppedError,
} from "../errors.ts";
import type { LastReport } from "../link/connection/fatal-dial.ts";
import { Link, type LinkListener } from "../link/link.ts";
import type { FromLink, StartupPhaseMessage } from "../link/messages.ts";
import type { ElsewhereWorker } from "../link-process/elsewhere-worker.ts";
import type { Logger, LogLevel } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { FatalInfo } from "../options/worker-options.ts";
import { OtelMetrics } from "../tracing/metrics.ts";
import { receiveForAttempts } from "./attempt-messages.ts";
import { AttemptParts } from "./attempt-parts.ts";
import { FatalDelivery } from "./fatal-delivery.ts";
import { describeFatal, logFatal, mustBeReported } from "./fatal-report.ts";
import { logStarted, logStopped, startFacts } from "./lifecycle-log.ts";
import { type LinkParts, linkData, threadLevel } from "./link-data.ts";
import { logLinkMessage } from "./link-log.ts";
import { Pauses } from "./pauses.ts";
import { ProbeLoop } from "./probe-loop.ts";
import { Startup } from "./startup.ts";

/** How long handlers may take to return once the drain timeout has aborted them. */
const UNWIND_MS = 2000;

/** Shortest time for flushing the outbox at the end of a drain, also after the drain timeout. */
const MIN_FLUSH_MS = 5000;

/** Longest time that a tear-down delays the end of a worker that has failed, and the shortest one for it after a drain. */
const TEARDOWN_MS = 5000;

/** Longest time for Goodbye once the outbox is flushed. */
const LINK_END_MS = 3000;

/** How an engine is run. */
export interface EngineMode {
  /** The worker is the program: a process whose main thread is blocked may be killed. */
  readonly program: boolean;
  /** When the register timeout began to count, in milliseconds of the process's age. */
  readonly registerTimeoutFromMs: number;
  /** Level of the log when `createProgramLogger` made it and it writes JSON; undefined otherwise. */
  readonly stdoutLogLevel: LogLevel | undefined;
  /** Set when the handlers are in another process. */
  readonly elsewhere?: ElsewhereWorker;
}

/** One run of a worker, from the dial to the end; it does not touch the process itself. */
export class Engine {
  readonly #options: CompiledOptions;
  readonly #log: Logger;
  readonly #startup: Startup;
  readonly #link: Link;
  readonly #linkData: ReturnType<typeof linkData>;
  readonly #delivery: FatalDelivery;
  readonly #attempts: AttemptParts;
  readonly #children: Children;
  readonly #pauses: Pauses;
  readonly #probe: ProbeLoop | undefined;
  readonly #elsewhere: ElsewhereWorker | undefined;
  readonly #metrics = new OtelMetrics();
  readonly #ready = Promise.withResolvers<void>();
  readonly #ended = Promise.withResolvers<FatalInfo | undefined>();
  /** Where answers to messages about attempts go. */
  readonly #answers: { readonly link: Link; readonly log: Logger };
  #registered = false;
  #preflightPassed = false;
  #isReady = false;
  #drain: Promise<void> | undefined;
  #over = false;

  constructor(options: CompiledOptions, log: Logger, parts: LinkParts, mode: EngineMode) {
    this.#options = options;
    this.#log = log.child({ worker_id: options.id });
    const { elapsed_ms: _, ...facts } = startFacts(options);
    logStarted(this.#log, options);
    this.#elsewhere = mode.elsewhere;
    const early: StartupPhaseMessage[] = [...(mode.elsewhere?.earlierPhases ?? [])];
    let report = (phase: StartupPhaseMessage): void => {
      early.push(phase);
    };
    this.#startup = new Startup(this.#log, systemClock, processAgeMs, facts, (phase) => report(phase));
    this.#startup.report("boot", "ok");
    this.#startup.report("scheduler_connecting", "started");
    const timeoutMs = options.registerTimeoutS * 1000;
    this.#linkData = linkData(options, parts, early, {
      program: mode.program,
      stdoutLogLevel: threadLevel(mode.stdoutLogLevel),
      registerInMs: Math.max(0, mode.registerTimeoutFromMs + timeoutMs - processAgeMs()),
      ...(mode.elsewhere && { elsewhere: mode.elsewhere.process }),
    });
    const listener: LinkListener = {
      message: (message) => this.#receive(message),
      died: (error) => this.#linkFailed(`died: ${error.message}`, error),
      hung: (silentMs) =>
        this.#linkFailed(`hangs: its loop has not turned for ${Math.round(silentMs / 1000)} s`),
    };
    this.#link = new Link(this.#linkData, systemClock, listener, mode.elsewhere?.turns);
    this.#answers = { link: this.#link, log: this.#log };
    this.#delivery = new FatalDelivery({ log: this.#log, link: this.#link, linkData: this.#linkData });
    report = (phase) => {
      early.push(phase);
      this.#link.send({ kind: "startupPhase", phase });
    };
    this.#children = new Children(options.clientOptions);
    this.#attempts = new AttemptParts({
      ...{ options, link: this.#link, log: this.#log, clock: systemClock },
      resources: parts.resources,
      loaders: parts.loaders,
      children: this.#children,
      elsewhere: mode.elsewhere?.handler,
    });
    void this.#attempts.scratch.cleanUp();
    this.#pauses = new Pauses({ runner: this.#attempts.runner, link: this.#link, log: this.#log });
    const probe = options.backpressure?.probe;
    this.#probe = probe && new ProbeLoop({ probe, clock: systemClock, link: this.#link, log: this.#log });
    this.#probe?.start();
    this.#ready.promise.catch(() => {
      // `ready` may be awaited late; a failure also ends the engine, and that is always awaited.
    });
    void this.#prepare();
  }

  /** Resolves when the worker takes tasks; rejects when it never will. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Resolves when the worker has ended: with `undefined` after a drain, with the error otherwise. */
  get ended(): Promise<FatalInfo | undefined> {
    return this.#ended.promise;
  }

  /** Current phase for a fatal report: `startup`, `run` or `task`. */
  get phase(): string {
    if (!this.#isReady) return "startup";
    return this.#attempts.runner.runningCount > 0 ? "task" : "run";
  }

  /** Reports the loaded resources to the scheduler. */
  sendResources(names: readonly string[]): void {
    if (!this.#over) this.#link.send({ kind: "resources", resources: names });
  }

  /** Rejects new tasks until `resume`. */
  pause(reason: string): void {
    this.#pauses.pause("program", reason);
  }

  /** Takes tasks again, unless an operator has paused the worker. */
  resume(reason: string): void {
    this.#pauses.resume("program", reason);
  }

  /** Drains and ends. A second call waits for the first. */
  drain(reason: string, timeoutS = this.#options.drainTimeoutS): Promise<void> {
    this.#drain ??= this.#drainOnce(reason, timeoutS);
    return this.#drain;
  }

  /** Takes nothing more, and gives back what has not started: the process of the handlers has ended. */
  giveBack(reason: string): void {
    this.#attempts.runner.setRejectReason("DRAINING");
    this.#attempts.runner.releaseWaiting(reason);
  }

  /** Ends at once with `error`: logs it, reports it to the scheduler (blocks up to 3 s), aborts every handler. */
  fail(phase: string, error: Error, event = "worker.fatal"): void {
    if (this.#over) return;
    this.#over = true;
    this.#link.acknowledgeExit();
    const fatal = describeFatal(phase, error);
    logFatal(this.#log, fatal, { event, error, startFacts: startFacts(this.#options) });
    if (mustBeReported(error)) this.#delivery.send(fatal);
    this.#attempts.loading.stop();
    this.#probe?.stop();
    const inFlight = this.#attempts.runner.inFlightIds;
    logStopped(
      this.#log,
      event === "worker.fatal" ? "fatal" : "startup_timeout",
      this.#attempts.runner.totals,
    );
    this.#attempts.runner.abandon(error);
    this.#attempts.deadlines.clear();
    this.#attempts.scratch.stop();
    this.#children.close();
    this.#ready.reject(error);
    this.#metrics.close();
    void this.#end({ phase, error }, error instanceof LinkError ? { fatal, inFlight } : undefined);
  }

  #linkFailed(how: string, cause?: Error): void {
    this.fail(this.phase, new LinkError(`the connection's thread ${how}`, { cause }));
  }

  /** @param unreported What the link's thread cannot report any more. */
  async #end(info: FatalInfo, unreported: Omit<LastReport, "ready"> | undefined): Promise<void> {
    const tornDown = this.#attempts.tearDown(TEARDOWN_MS, info.error);
    if (unreported !== undefined)
      await this.#delivery.sendWithoutLink({ ...unreported, ready: this.#isReady });
    if (!(await this.#link.terminate()) && this.#linkData.program) {
      const fields = { event: "worker.killed", signal: "SIGKILL", exit_code: 137 };
      this.#log.warn(fields, "the connection's thread cannot be ended: the process is killed");
      process.kill(process.pid, "SIGKILL");
    }
    await tornDown;
    this.#ended.resolve(info);
  }

  async #prepare(): Promise<void> {
    if (!(await this.#step("lifespan", LifespanError, () => this.#attempts.lifespan.open(this.#startup))))
      return;
    const { isolated } = this.#attempts;
    if (isolated !== undefined) {
      this.#startup.report("custom:isolate", "started");
      if (!(await this.#step("custom:isolate", IsolationError, () => isolated.check()))) return;
      this.#startup.report("custom:isolate", "ok");
    }
    if (!(await this.#step("preflight", PreflightError, () => this.#options.preflight?.(this.#startup))))
      return;
    this.#preflightPassed = true;
    this.#markReady();
  }

  /** Runs a step of the start; a throw ends the worker. False when it has ended meanwhile. */
  async #step(
    name: string,
    Failed: typeof LifespanError | typeof IsolationError | typeof PreflightError,
    run: () => unknown,
  ): Promise<boolean> {
    try {
      await run();
    } catch (thrown) {
      const { error } = await readThrownPromise(thrown);
      if (!this.#over) this.#startup.failed(name, error);
      this.fail("startup", new Failed(error));
    }
    return !this.#over;
  }

  #markReady(): void {
    if (
      !this.#registered ||
      !this.#preflightPassed ||
      this.#isReady ||
      this.#over ||
      this.#drain !== undefined
    )
      return;
    this.#isReady = true;
    this.#startup.report("ready", "ok");
    this.#ready.resolve();
  }

  #receive(message: FromLink): void {
    if (this.#over) return;
    switch (message.kind) {
      case "registered":
        this.#welcomed(message);
        return;
      case "connecting":
      case "disconnected":
      case "queueView":
      case "log":
      case "serving":
      case "ended":
        logLinkMessage(this.#log, message, this.#registered ? undefined : startFacts(this.#options));
        return;
      case "drain":
        void this.drain(message.reason || "asked by the scheduler", secondsOf(message.deadlineMs));
        return;
      case "pressure":
        this.#pauses.pressed(message.reason);
        return;
      case "pause":
        this.#pauses.pause("operator", message.reason);
        this.#elsewhere?.paused(message);
        return;
      case "resume":
        this.#pauses.resume("operator", message.reason);
        this.#elsewhere?.paused(message);
        return;
      case "assignments":
      case "cancel":
      case "revoke":
      case "acknowledged":
      case "checkpointAnswered":
      case "keyPauseAnswered":
      case "prepareResource":
      case "releaseResource":
      case "isolatedStacks":
        receiveForAttempts(this.#attempts, message, this.#answers);
        return;
      case "refused":
        receiveForAttempts(this.#attempts, message, this.#answers);
        logLinkMessage(this.#log, message, undefined);
        return;
      case "verdict":
        this.fail("startup", new VerdictError(message.status, message.reason, message.message));
        return;
      case "superseded":
        this.fail("superseded", new SupersededError(message.message));
        return;
      case "cannotServe":
        this.fail("startup", new HttpListenError(message.message));
        return;
      case "measures":
        this.#metrics.measured(message.measures);
        return;
      case "startupTimeout": {
        const { connection, registerTimeoutS } = this.#options;
        const { addresses, isDefaultAddress } = connection;
        const error = new StartupTimeoutError(
          registerTimeoutS,
          addresses,
          message.lastError,
          isDefaultAddress,
        );
        this.#startup.report("startup_timeout_unregistered", "failed", {}, error.message);
        this.fail("startup", error, "worker.startup_timeout_unregistered");
        return;
      }
      default:
        message satisfies never;
    }
  }

  #welcomed(message: Extract<FromLink, { kind: "registered" }>): void {
    const { address, serverId, phaseWarningsMs, maxResultBytes } = message;
    const { settings } = this.#attempts;
    this.#attempts.settings = {
      phaseWarningsMs,
      maxResultBytes: maxResultBytes > 0 ? maxResultBytes : settings.maxResultBytes,
    };
    this.#attempts.runner.slots.setSupported(message.slotRelease);
    this.#pauses.welcomed(message.pauseReason);
    this.#attempts.runner.registered(message.followsLimits);
    this.#elsewhere?.welcomed(message);
    if (!message.first) {
      this.#log.info({ event: "worker.reconnected", address, server_id: serverId }, "connected again");
      return;
    }
    this.#registered = true;
    this.#startup.report("registered", "ok", { address, server_id: serverId });
    this.#markReady();
  }

  async #drainOnce(reason: string, timeoutS: number): Promise<void> {
    if (this.#over) return;
    const endMs = systemClock.monotonicMs() + timeoutS * 1000;
    this.#attempts.runner.setRejectReason("DRAINING");
    this.#attempts.loading.stop();
    this.#probe?.stop();
    this.#ready.reject(new WorkerStoppedError());
    this.#link.send({ kind: "draining", reason, deadlineMs: timeoutS * 1000 });
    this.#elsewhere?.draining(reason, timeoutS);
    const running = this.#attempts.runner.runningCount;
    this.#log.info({ event: "worker.draining", reason, running, timeout_s: timeoutS }, "worker draining");
    this.#attempts.runner.releaseWaiting("drain");
    if (!(await settledWithin(this.#attempts.runner.idle(), timeoutS * 1000))) {
      this.#attempts.runner.stopAll(reason);
      if (!(await settledWithin(this.#attempts.runner.idle(), UNWIND_MS)))
        this.#attempts.runner.releaseRunning("drain");
    }
    if (this.#over) return;
    const leftMs = endMs - systemClock.monotonicMs();
    const flushMs = Math.max(MIN_FLUSH_MS, leftMs);
    const tornDown = this.#attempts.tearDown(Math.max(TEARDOWN_MS, leftMs), new WorkerStoppedError());
    this.#link.send({ kind: "finish", reason: "finished", flushMs });
    if (!(await settledWithin(this.#link.closed, flushMs + LINK_END_MS))) {
      this.#linkFailed("did not end with the drain");
    }
    await tornDown;
    // Folders that are not removed in this time are removed by their age.
    await settledWithin(this.#attempts.scratch.settled(), TEARDOWN_MS);
    if (this.#over) return;
    this.#over = true;
    this.#attempts.scratch.stop();
    this.#children.close();
    this.#attempts.deadlines.clear();
    this.#metrics.close();
    logStopped(this.#log, reason, this.#attempts.runner.totals);
    this.#ended.resolve(undefined);
  }
}

function secondsOf(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
