/** The link as a program: starts the worker's process, and is the worker that the scheduler knows. */
import { join } from "node:path";
import { Redactor } from "@muster/common/text/redact";
import { messageOf } from "../attempt/failure/classify.ts";
import { ReportedError } from "../attempt/failure/reported-error.ts";
import { processAgeMs, settledWithin, systemClock } from "../clock.ts";
import { StartupTimeoutError } from "../errors.ts";
import type { StartupPhaseMessage } from "../link/messages.ts";
import type { Logger } from "../logging/logger.ts";
import type { CompiledOptions } from "../options/compiled-options.ts";
import type { Environment } from "../options/connection-options.ts";
import { OptionsError } from "../options/options-error.ts";
import type { FatalInfo } from "../options/worker-options.ts";
import { Engine } from "../run/engine.ts";
import { describeFatal, logFatal } from "../run/fatal-report.ts";
import { startFacts } from "../run/lifecycle-log.ts";
import type { RunningProgram } from "../run/program.ts";
import { Startup, type StartupReporter } from "../run/startup.ts";
import { LineFiles } from "./attempts/line-files.ts";
import { LineHandlers } from "./attempts/line-handlers.ts";
import { type ElsewhereWorker, forwardTo } from "./elsewhere-worker.ts";
import { type GivenOptions, helloOptions } from "./hello-options.ts";
import { LineErrors } from "./line-errors.ts";
import { LineResources } from "./line-resources.ts";
import type { HelloLine } from "./lines/hello-line.ts";
import { LineChannel } from "./lines/line-channel.ts";
import type { ReadLine } from "./lines/line-reader.ts";
import {
  LINK_VERSION,
  MAX_LINE,
  MIN_LINK_VERSION,
  parseWorkerLine,
  type WorkerLine,
} from "./lines/worker-line.ts";
import { LineTurns } from "./process/line-turns.ts";
import { endError, endWords, exitCodeOf, outcomeOfEnd } from "./process/worker-end.ts";
import { LINK_FD, type WorkerEnd, WorkerProcess } from "./process/worker-process.ts";

/** Time between `stop` and SIGTERM, and between SIGTERM and SIGKILL. */
const STOP_GRACE_MS = 5_000;

/** Exit code for a worker that does not speak the protocol. */
const NOT_UNDERSTOOD = 2;

/** Most startup phases. */
const MAX_PHASES = 200;

/** What is run, and with what. */
export interface LinkProgramOptions {
  readonly command: readonly string[];
  /** Lines on the worker's standard input and output. */
  readonly stdio: boolean;
  readonly given: GivenOptions;
  /** The options of the link itself, before the worker has said what it runs. */
  readonly base: CompiledOptions;
  readonly env: Environment;
  readonly log: Logger;
}

/** Runs one worker process to its end. */
export class LinkProgram implements RunningProgram {
  readonly ended: Promise<FatalInfo | undefined>;
  exitCode = 0;
  readonly #options: LinkProgramOptions;
  readonly #log: Logger;
  readonly #files = new LineFiles();
  readonly #turns: LineTurns;
  readonly #worker: WorkerProcess;
  readonly #channel: LineChannel;
  readonly #errors: LineErrors;
  readonly #over = Promise.withResolvers<FatalInfo | undefined>();
  readonly #ready = Promise.withResolvers<void>();
  readonly #cancelHelloTimeout: () => void;
  readonly #earlier: StartupPhaseMessage[] = [];
  #startup: Startup;
  #phases = 0;
  #opened = false;
  #engine: Engine | undefined;
  #handlers: LineHandlers | undefined;
  #resources: LineResources | undefined;
  /** Why the worker was asked to end; undefined while it was not. */
  #stopping: string | undefined;
  /** The worker has said what ends it. */
  #reported: ReportedError | undefined;

  constructor(options: LinkProgramOptions) {
    const { base, command, env, stdio, log } = options;
    this.#options = options;
    this.#log = log.child({ worker_id: base.id });
    this.ended = this.#over.promise;
    this.#turns = new LineTurns(join(this.#files.folder, "tick"));
    const { elapsed_ms: _, ...facts } = startFacts(base);
    const keep = (phase: StartupPhaseMessage): void => {
      this.#earlier.push(phase);
    };
    this.#startup = new Startup(this.#log, systemClock, processAgeMs, facts, keep);
    this.#startup.report("custom:link", "started");
    this.#worker = new WorkerProcess({
      ...{ command, stdio, clock: systemClock, redactor: new Redactor(env) },
      env: {
        ...env,
        WORKER_ID: base.id,
        MUSTER_LINK_VERSION: String(LINK_VERSION),
        MUSTER_LINK_TICK: this.#turns.path,
        MUSTER_LINK_DIR: this.#files.folder,
        MUSTER_LINK_FD: stdio ? undefined : String(LINK_FD),
        // The link follows its supervisor, the worker the link.
        MUSTER_SUPERVISOR_PID: undefined,
      },
      ownGroup: !env.MUSTER_SUPERVISOR_PID,
      stdout: process.stdout,
      stderr: process.stderr,
    });
    process.once("exit", this.#killAtExit);
    const { from, to } = this.#worker.lines;
    this.#channel = new LineChannel(from, to, MAX_LINE, {
      line: (line) => this.#read(line),
      closed: () => void this.#closed(),
    });
    this.#errors = new LineErrors({
      ...{ clock: systemClock, log: this.#log },
      inform: (line) => this.#channel.inform(line),
    });
    this.#channel.write({
      kind: "link",
      version: LINK_VERSION,
      min_version: MIN_LINK_VERSION,
      max_line: MAX_LINE,
      worker_id: base.id,
      register_timeout_s: base.registerTimeoutS,
    });
    // It may fail before the preflight awaits it, which then has the error.
    this.#ready.promise.catch(() => undefined);
    this.#cancelHelloTimeout = systemClock.after(base.registerTimeoutS * 1_000 - processAgeMs(), () =>
      this.#helloTimedOut(),
    );
    void this.#worker.ended.then((end) => this.#ended(end));
  }

  get phase(): string {
    return this.#engine?.phase ?? "startup";
  }

  /** SIGTERM, or the end of the supervisor. */
  async drain(reason: string, timeoutS: number): Promise<void> {
    if (this.#engine !== undefined) return this.#engine.drain(reason, timeoutS);
    // The worker still imports its code: it holds nothing, and may not read its lines.
    this.#stop(reason, 0);
  }

  /** An uncaught error of the link itself. */
  fail(phase: string, error: Error): void {
    if (this.#engine !== undefined) this.#engine.fail(phase, error);
    else this.#logFatal(error);
    this.#worker.kill("the link has failed");
  }

  readonly #killAtExit = (): void => {
    this.#worker.kill("the link ends");
    this.#files.close();
  };

  #read(read: ReadLine): void {
    if ("fault" in read) {
      this.#errors.report({ code: read.fault, message: read.message, line: read.head });
      return;
    }
    const parsed = parseWorkerLine(read.text);
    if (parsed === undefined) return;
    if ("line" in parsed) {
      try {
        this.#receive(parsed.line);
      } catch (error) {
        this.#skipped("INVALID_FIELD", messageOf(error), read.text);
      }
      return;
    }
    const { code, message, attempt } = parsed.fault;
    this.#skipped(code, message, read.text);
    if (attempt !== undefined) this.#handlers?.invalidResult(attempt, message);
    if (code === "INVALID_HELLO" || code === "VERSION_MISMATCH") this.#notUnderstood(message);
  }

  #receive(line: WorkerLine): void {
    if (!this.#opened && line.kind !== "open" && line.kind !== "hello")
      return this.#unexpected(line.kind, "the first line is `open` or `hello`");
    switch (line.kind) {
      case "open":
        if (this.#opened) return this.#unexpected(line.kind, "it comes once, before `hello`");
        this.#opened = true;
        return;
      case "hello":
        this.#opened = true;
        return this.#hello(line);
      case "phase":
        return this.#phase(line);
      case "ready":
        this.#ready.resolve();
        return;
      case "tick":
        this.#turns.line();
        return;
      case "resource":
        this.#resources?.receive(line);
        return;
      case "pause":
        this.#engine?.pause(line.reason);
        return;
      case "resume":
        this.#engine?.resume(line.reason);
        return;
      case "drain":
        void this.drain(line.reason || "asked by the worker", this.#options.base.drainTimeoutS);
        return;
      case "fatal":
        this.#reported ??= new ReportedError(line.message, {
          className: line.className,
          traceback: line.traceback,
          exitCode: 1,
          ...(line.attempt === undefined ? {} : { attemptId: line.attempt }),
        });
        void this.#closed();
        return;
      default:
        if (this.#handlers === undefined) return this.#unexpected(line.kind, "`hello` comes before");
        this.#handlers.receive(line);
    }
  }

  #hello(hello: HelloLine): void {
    if (this.#engine !== undefined) return this.#unexpected("hello", "it comes once");
    if (this.#stopping !== undefined) return;
    const { given, env, log } = this.#options;
    const worker = this.#worker;
    const handlers = new LineHandlers({
      ...{ clock: systemClock, files: this.#files, inlineBytes: hello.inlineBytes, workerPid: worker.pid },
      write: (text) => this.#channel.writeText(text),
      refused: (message) => this.#skipped("INVALID_FIELD", message, ""),
      kill: hello.killable === "process" ? (why) => worker.kill(why) : undefined,
    });
    let options: CompiledOptions;
    let resources: LineResources;
    try {
      options = helloOptions(hello, given, env, (startup) => this.#becomesReady(startup));
      resources = new LineResources(
        [...options.resources],
        hello.loadable,
        (line) => this.#channel.write(line),
        (names) => this.#engine?.sendResources(names),
      );
    } catch (error) {
      if (!(error instanceof OptionsError)) throw error;
      const message = `hello: ${messageOf(error)}`;
      this.#skipped("INVALID_HELLO", message, "");
      return this.#notUnderstood(message);
    }
    this.#cancelHelloTimeout();
    this.#handlers = handlers;
    this.#resources = resources;
    this.#turns.source = hello.ticks;
    if (hello.ready) this.#ready.resolve();
    const parts = { resources: resources.resources, loaders: resources.loaders, settings: [] };
    const engine = new Engine(options, log, parts, {
      program: false,
      registerTimeoutFromMs: 0,
      stdoutLogLevel: undefined,
      elsewhere: this.#elsewhere(hello, handlers),
    });
    this.#engine = engine;
    void engine.ended.then((fatal) => this.#engineEnded(fatal));
  }

  #elsewhere({ sdk, sdkVersion, language, runtime }: HelloLine, handler: LineHandlers): ElsewhereWorker {
    return {
      process: { pid: this.#worker.pid, sdk, sdkVersion, language, runtime },
      handler,
      earlierPhases: this.#earlier,
      turns: (nowMs) => this.#turns.look(nowMs),
      ...forwardTo(this.#options.base.id, (line) => this.#channel.write(line)),
    };
  }

  async #becomesReady(startup: StartupReporter): Promise<void> {
    if (startup instanceof Startup) this.#startup = startup;
    await this.#ready.promise;
  }

  #phase({ name, outcome, detail, attributes }: Extract<WorkerLine, { kind: "phase" }>): void {
    this.#phases += 1;
    if (this.#phases > MAX_PHASES)
      throw new Error(`phase: a worker has at most ${MAX_PHASES} startup phases`);
    this.#startup.emit(name, detail === "" ? attributes : { ...attributes, detail }, outcome ?? "ok");
  }

  #unexpected(kind: string, rule: string): void {
    this.#skipped("UNEXPECTED_LINE", `${kind}: may not come now: ${rule}`, kind);
  }

  #skipped(code: string, message: string, line: string): void {
    this.#errors.report({ code, message, line });
  }

  /** The worker does not speak the protocol: it cannot be run. */
  #notUnderstood(message: string): void {
    if (this.#stopping !== undefined) return;
    this.exitCode = NOT_UNDERSTOOD;
    this.#logFatal(
      new ReportedError(message, { className: "LinkProtocolError", traceback: "", exitCode: NOT_UNDERSTOOD }),
    );
    this.#stop(message, STOP_GRACE_MS);
  }

  #helloTimedOut(): void {
    if (this.#engine !== undefined || this.#stopping !== undefined) return;
    const { connection, registerTimeoutS } = this.#options.base;
    const why = "the worker has not written `hello`";
    const error = new StartupTimeoutError(
      registerTimeoutS,
      connection.addresses,
      why,
      connection.isDefaultAddress,
    );
    this.#startup.report("startup_timeout_unregistered", "failed", {}, error.message);
    this.#logFatal(error, "worker.startup_timeout_unregistered");
    this.exitCode = 1;
    this.#stop(why, 0);
  }

  #logFatal(error: Error, event = "worker.fatal"): void {
    const facts = startFacts(this.#options.base);
    logFatal(this.#log, describeFatal(this.phase, error), { event, error, startFacts: facts });
  }

  /** The worker has closed its side, or has said what ends it: its process ends, or is ended. */
  async #closed(): Promise<void> {
    if (await settledWithin(this.#worker.ended, STOP_GRACE_MS)) return;
    this.#worker.kill("it had closed its connection or reported a fatal error, and went on");
  }

  /** The connection to the scheduler is over. */
  #engineEnded(fatal: FatalInfo | undefined): void {
    if (fatal !== undefined && this.exitCode === 0) this.exitCode = 1;
    this.#stop(fatal?.error.message ?? "drained", STOP_GRACE_MS);
  }

  /** Asks the worker to end, and sees to it. */
  #stop(reason: string, graceMs: number): void {
    if (this.#stopping !== undefined) return;
    this.#stopping = reason;
    this.#cancelHelloTimeout();
    this.#ready.reject(new Error(reason));
    this.#channel.write({ kind: "stop", reason, grace_s: graceMs / 1_000 });
    this.#channel.end();
    void this.#enforceEnd(graceMs);
  }

  async #enforceEnd(graceMs: number): Promise<void> {
    if (await this.#worker.endWithin(graceMs, STOP_GRACE_MS))
      this.#log.warn(
        { event: "worker.link.killed", pid: this.#worker.pid },
        "the worker did not end: it is killed",
      );
    await this.#finish();
  }

  /** The worker's process has ended. */
  async #ended(end: WorkerEnd): Promise<void> {
    if (this.#stopping !== undefined) return;
    const error = this.#reported ?? endError(end);
    const engine = this.#engine;
    const handlers = this.#handlers;
    const wasIdle = handlers?.runningCount === 0;
    this.#log.warn(
      { event: "worker.link.ended", pid: this.#worker.pid, code: end.code, signal: end.signal },
      endWords(end),
    );
    if (engine !== undefined && wasIdle && end.code === 0 && this.#reported === undefined)
      return void engine.drain("the worker has ended", 0);
    this.exitCode = exitCodeOf(end) || 1;
    if (engine === undefined || handlers === undefined) {
      this.#logFatal(error);
      this.#stop(endWords(end), 0);
      return;
    }
    handlers.processEnded(outcomeOfEnd(end));
    engine.giveBack("worker_ended");
    // The outcomes are on their way once the promises of the runs have settled.
    await new Promise(setImmediate);
    engine.fail(engine.phase, error);
  }

  async #finish(): Promise<void> {
    process.off("exit", this.#killAtExit);
    await this.#worker.endRest(STOP_GRACE_MS);
    this.#turns.close();
    this.#files.close();
    this.#over.resolve(undefined);
  }
}
