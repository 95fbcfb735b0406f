/** The process of an isolated handler: runs attempts, one at a time, as a worker runs them. */
import { Worker as Thread } from "node:worker_threads";
import { Attempt } from "../../attempt/attempt.ts";
import type { AttemptHost } from "../../attempt/attempt-host.ts";
import { withinAttempt } from "../../attempt/attempt-scope.ts";
import { Children } from "../../attempt/children/children.ts";
import { Deadlines } from "../../attempt/deadlines.ts";
import { type ExecuteOptions, execute } from "../../attempt/execute.ts";
import { classifyError, messageOf, tracebackOf } from "../../attempt/failure/classify.ts";
import { readThrownPromise } from "../../attempt/failure/thrown-promise.ts";
import { warnAfterS } from "../../attempt/phases/warn-after.ts";
import { KeyPauses } from "../../attempt/reports/key-pauses.ts";
import { processAgeMs, settledWithin, systemClock } from "../../clock.ts";
import { WorkerStoppedError } from "../../errors.ts";
import { WorkerLifespan } from "../../lifespan/worker-lifespan.ts";
import { ownThreadFile } from "../../link/thread-file.ts";
import type { CompiledOptions } from "../../options/compiled-options.ts";
import { processEnvironment } from "../../options/connection-options.ts";
import { PayloadCoder } from "../../payloads/payload-coder.ts";
import { Startup } from "../../run/startup.ts";
import type { ScratchFolder } from "../../scratch/scratch-folders.ts";
import { flushSpans } from "../../tracing/provider.ts";
import { withinRemote } from "../../tracing/remote-run.ts";
import { ISOLATE_MARK } from "../isolate-options.ts";
import type { AttemptRequest, ToChild } from "../messages.ts";
import { localError, stopReason } from "../remote-errors.ts";
import { toWorker } from "./channel.ts";
import { keptLines, workerLog } from "./child-log.ts";

/** Longest tear-down of a process that ends. */
const TEARDOWN_MS = 5_000;

/** Longest export of its last spans. */
const FLUSH_SPANS_MS = 3_000;

/** Serves the worker that has started this process. */
export class IsolatedProcess {
  readonly #options: CompiledOptions;
  readonly #host: AttemptHost;
  readonly #lifespan: WorkerLifespan;
  readonly #children: Children;
  readonly #keyPauses: KeyPauses;
  readonly #payloads: PayloadCoder | undefined;
  #phaseWarningsMs: Readonly<Record<string, number>> = {};
  #attempt: Attempt | undefined;
  #scratch: PromiseWithResolvers<string> | undefined;

  constructor(options: CompiledOptions) {
    this.#options = options;
    const log = workerLog();
    const link: AttemptHost["link"] = {
      send: (message) => toWorker({ kind: "report", message }),
      // These are the runner's, which is the worker's.
      sendStarted() {},
      sendSuccess() {},
      flush() {},
    };
    const lifespan = new WorkerLifespan(options.lifespan, log, systemClock);
    this.#lifespan = lifespan;
    this.#children = new Children(options.clientOptions);
    this.#keyPauses = new KeyPauses(systemClock, link);
    this.#payloads = options.payloads && new PayloadCoder(options.payloads);
    this.#host = {
      clock: systemClock,
      deadlines: new Deadlines(systemClock),
      link,
      log,
      scratch: { open: (attemptId) => this.#openScratch(attemptId), end() {} },
      artifacts: options.artifacts,
      get services() {
        return lifespan.services;
      },
      keyPauses: this.#keyPauses,
      taskLogs: options.taskLogs && keptLines(options.taskLogs),
      children: this.#children,
      slots: {
        begin: ({ ownLog }) => {
          const reason = "the handler runs in a process of its own";
          ownLog.warn({ event: "task.slot.kept", reason }, "the handler waits with its slot");
        },
        end: () => Promise.resolve(),
      },
      warnAfterS: (phase, assignment, declared) =>
        warnAfterS(phase, { assignment, declared, options, schedulerMs: this.#phaseWarningsMs[phase] }),
    };
  }

  /** Sets up, then runs what the worker sends. */
  async serve(): Promise<void> {
    // Before any handler can block this thread.
    const guard = new Thread(ownThreadFile(), {
      name: "muster-guard",
      workerData: { guard: processEnvironment[ISOLATE_MARK] },
    });
    guard.unref();
    process.on("uncaughtExceptionMonitor", (error) =>
      toWorker({ kind: "uncaught", failure: classifyError(error, this.#options.classify) }),
    );
    process.on("message", (message: ToChild) => this.#receive(message));
    toWorker({ kind: "found" });
    try {
      await this.#lifespan.open(new Startup(this.#host.log, systemClock, processAgeMs, {}, () => {}));
    } catch (thrown) {
      const { error } = await readThrownPromise(thrown);
      toWorker({
        kind: "unusable",
        fault: { what: "lifespan", message: messageOf(error), traceback: tracebackOf(error) },
      });
      await this.#end(1);
      return;
    }
    toWorker({ kind: "ready" });
  }

  #receive(message: ToChild): void {
    switch (message.kind) {
      case "attempt":
        void this.#run(message);
        return;
      case "stop":
        this.#attempt?.abort({ kind: message.stop, reason: stopReason(message.stop, message.message) });
        return;
      case "answered":
        if (message.answer.kind === "checkpointAnswered") this.#attempt?.checkpointAnswered(message.answer);
        else this.#keyPauses.answered(message.answer);
        return;
      case "scratch":
        this.#scratch?.resolve(message.path);
        this.#scratch = undefined;
        return;
      case "noScratch":
        this.#scratch?.reject(localError(message.error));
        this.#scratch = undefined;
        return;
      case "end":
        void this.#end(0);
        return;
      default:
        message satisfies never;
    }
  }

  async #run({ assignment, maxResultBytes, phaseWarningsMs, traceparent }: AttemptRequest): Promise<void> {
    const definition = this.#options.tasks.get(assignment.type);
    // The worker has asked for its types before.
    if (definition === undefined) throw new Error(`there is no handler for the type "${assignment.type}"`);
    this.#phaseWarningsMs = phaseWarningsMs;
    const attempt = new Attempt(this.#host, assignment, definition);
    this.#attempt = attempt;
    attempt.startedMs = systemClock.monotonicMs();
    const options: ExecuteOptions = {
      payloads: this.#payloads,
      classify: this.#options.classify,
      maxResultBytes,
    };
    const outcome = await withinAttempt(
      attempt.id,
      withinRemote(traceparent, () => execute(attempt, options)),
    );
    const phases = attempt.timings;
    attempt.close();
    this.#attempt = undefined;
    toWorker({ kind: "outcome", attemptId: attempt.id, outcome: attempt.withFacts(outcome), phases });
  }

  /** The worker makes the folder: it measures it, and removes it also when this process is killed. */
  async #openScratch(attemptId: string): Promise<ScratchFolder> {
    const asked = Promise.withResolvers<string>();
    this.#scratch = asked;
    toWorker({ kind: "openScratch" });
    return { attemptId, path: await asked.promise, close() {} };
  }

  async #end(code: number): Promise<void> {
    await this.#lifespan.close(TEARDOWN_MS, new WorkerStoppedError(), {
      done: () => Promise.resolve(),
      count: () => 0,
    });
    this.#children.close();
    await settledWithin(flushSpans(), FLUSH_SPANS_MS);
    // What a handler has left open must not keep it.
    process.exit(code);
  }
}
