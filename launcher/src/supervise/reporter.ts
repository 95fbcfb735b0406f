/** Sends the reports of a supervisor to the scheduler. */
import type { MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, durationMs } from "@bufbuild/protobuf/wkt";
import type { LaunchStop, ReportExitRequestSchema, ReportLaunchRequestSchema } from "@muster/protocol";
import type { Client } from "@muster/worker/client";
import { MusterError } from "@muster/worker/client";
import type { Clock } from "../clock.ts";
import type { KillRequest } from "./kill-request.ts";
import type { SupervisorLog } from "./supervisor-log.ts";

/** Timeout of a call; a healthy scheduler answers within milliseconds. */
const CALL_TIMEOUT_MS = 5_000;

/** Delays between retries while the scheduler is unavailable, doubling from the first to the last. */
const FIRST_RETRY_MS = 250;
const LAST_RETRY_MS = 5_000;

/** Report interval until the scheduler has sent its own. */
const DEFAULT_INTERVAL_MS = 5_000;

/** Fraction of the interval for which a report waits for a request to end the process, so that the next one arrives in time. */
const INTERVAL_SHARE = 0.8;

/** A scheduler that answers a waiting report before this fraction of the wait does not wait. */
const ANSWERED_EARLY = 0.5;

/** Sleep of the loop without anything to report; a change wakes it. */
const IDLE_MS = 60_000;

/** Exit reports that are kept while the scheduler is unavailable: a crash loop of an hour to more than a day. */
const MAX_EXITS = 100;

/** The report of a running launch. */
export type LaunchMessage = Omit<
  MessageInitShape<typeof ReportLaunchRequestSchema>,
  "age" | "seenStopNumber" | "maxWait" | "$typeName"
>;

/** The exit report of a launch. */
export type ExitMessage = Omit<
  MessageInitShape<typeof ReportExitRequestSchema>,
  "exitAge" | "restartDelay" | "$typeName"
>;

/** What the scheduler answers to the reports of a launch. */
export interface LaunchAnswers {
  readonly kill: (request: KillRequest) => void;
  readonly notice: (draining: boolean) => void;
}

interface Exit {
  readonly message: ExitMessage;
  readonly endedAtMs: number;
  restartAtMs: number | undefined;
}

/**
 * Reports launches to the scheduler over its own connection. Only this loop waits for the scheduler: reports that cannot
 * be delivered are kept and retried.
 */
export class Reporter {
  readonly #client: Client;
  readonly #clock: Clock;
  readonly #log: SupervisorLog;
  readonly #done: Promise<void>;
  #launch: (() => LaunchMessage) | undefined;
  #on: LaunchAnswers = { kill: () => undefined, notice: () => undefined };
  #seenStopNumber = 0;
  #launchedAtMs = 0;
  #dirty = false;
  #exits: Exit[] = [];
  #intervalMs = DEFAULT_INTERVAL_MS;
  /** When the next report without a change is sent. */
  #nextAtMs = 0;
  #retryMs = 0;
  #away = false;
  #closing = false;
  #wake = new AbortController();

  constructor(client: Client, clock: Clock, log: SupervisorLog) {
    this.#client = client;
    this.#clock = clock;
    this.#log = log;
    this.#done = this.#loop();
  }

  /** Exit reports that have not been delivered. */
  get pending(): number {
    return this.#exits.length;
  }

  /**
   * A process was started; `describe` returns its current report.
   *
   * @param on.kill Called with each request of an operator to end it.
   * @param on.notice Called when the scheduler has received the notice that the machine ends, with whether the worker drains.
   */
  launched(describe: () => LaunchMessage, on: LaunchAnswers): void {
    this.#launch = describe;
    this.#on = on;
    this.#seenStopNumber = 0;
    this.#launchedAtMs = this.#clock.monotonic();
    this.changed();
  }

  /** The launch has a change to report. */
  changed(): void {
    this.#dirty = true;
    this.#wakeLoop();
  }

  /** The process ended; `restartInMs` is the delay of the restart, if there is one. */
  ended(message: ExitMessage, restartInMs: number | undefined): void {
    const nowMs = this.#clock.monotonic();
    this.#launch = undefined;
    this.#dirty = false;
    if (this.#exits.length >= MAX_EXITS) {
      const dropped = this.#exits.shift();
      this.#log.write(
        "warn",
        "launch.report.dropped",
        "too many exit reports wait for the scheduler: the oldest is dropped",
        {
          launch_id: dropped?.message.launchId,
        },
      );
    }
    const restartAtMs = restartInMs === undefined ? undefined : nowMs + restartInMs;
    this.#exits.push({ message, endedAtMs: nowMs, restartAtMs });
    this.#wakeLoop();
  }

  /** The announced restart does not take place. */
  notRestarted(message: ExitMessage): void {
    const waiting = this.#exits.find((exit) => exit.message.launchId === message.launchId);
    if (waiting) waiting.restartAtMs = undefined;
    else this.#exits.push({ message, endedAtMs: this.#clock.monotonic(), restartAtMs: undefined });
    this.#wakeLoop();
  }

  /** Delivers pending reports, for at most `timeoutMs`. */
  async close(timeoutMs: number): Promise<void> {
    this.#closing = true;
    this.#wakeLoop();
    const over = new AbortController();
    await Promise.race([this.#done, this.#clock.sleep(timeoutMs, over.signal)]);
    over.abort();
    if (this.#exits.length > 0) {
      this.#log.write(
        "error",
        "launch.report.undelivered",
        `${this.#exits.length} ${this.#exits.length === 1 ? "exit report" : "exit reports"} could not be delivered to the scheduler within ${timeoutMs / 1000} s`,
        { launch_ids: this.#exits.map(({ message }) => message.launchId) },
      );
      this.#exits = [];
      this.#wakeLoop();
    }
    this.#client.close();
  }

  async #loop(): Promise<void> {
    for (;;) {
      this.#wake = new AbortController();
      const delivered = await this.#deliver();
      if (this.#closing && this.#exits.length === 0) return;
      if (delivered === "more") continue;
      await this.#clock.sleep(
        delivered === "failed" ? this.#retryMs : this.#untilNextMs(),
        this.#wake.signal,
      );
    }
  }

  async #deliver(): Promise<"more" | "idle" | "failed"> {
    const [exit] = this.#exits;
    const due = this.#launch !== undefined && (this.#dirty || this.#untilNextMs() <= 0);
    if (exit === undefined && (!due || this.#closing)) return "idle";
    try {
      if (exit !== undefined) await this.#sendExit(exit);
      else await this.#sendLaunch();
    } catch (error) {
      return this.#failed(error, exit);
    }
    if (this.#away) this.#log.write("info", "launch.report.resumed", "the scheduler accepts reports again");
    this.#away = false;
    this.#retryMs = 0;
    return "more";
  }

  async #sendExit(exit: Exit): Promise<void> {
    const nowMs = this.#clock.monotonic();
    const { restartAtMs } = exit;
    const restart =
      restartAtMs === undefined
        ? {}
        : { restartDelay: durationFromMs(Math.round(Math.max(0, restartAtMs - nowMs))) };
    const exitAge = durationFromMs(Math.round(nowMs - exit.endedAtMs));
    const { requeuedCount } = await this.#client.supervision.reportExit(
      { ...exit.message, ...restart, exitAge },
      { timeoutMs: CALL_TIMEOUT_MS },
    );
    // A change during the call is reported by another call.
    if (exit.restartAtMs === restartAtMs) this.#exits = this.#exits.filter((other) => other !== exit);
    this.#log.write(
      "info",
      "launch.reported",
      `the exit was reported to the scheduler; ${requeuedCount} ${requeuedCount === 1 ? "attempt was" : "attempts were"} requeued`,
      {
        launch_id: exit.message.launchId,
        requeued: requeuedCount,
      },
    );
  }

  /** A report of a change is answered at once; any other waits at the scheduler for a request to end the process. */
  async #sendLaunch(): Promise<void> {
    const message = this.#launch?.();
    if (message === undefined) return;
    const waitMs = this.#dirty ? 0 : Math.round(this.#intervalMs * INTERVAL_SHARE);
    this.#dirty = false;
    const sentAtMs = this.#clock.monotonic();
    const age = durationFromMs(Math.round(sentAtMs - this.#launchedAtMs));
    const { signal } = this.#wake;
    const seenStopNumber = this.#seenStopNumber;
    try {
      const { reportInterval, stop, draining } = await this.#client.supervision.reportLaunch(
        { ...message, age, seenStopNumber, ...(waitMs === 0 ? {} : { maxWait: durationFromMs(waitMs) }) },
        { timeoutMs: CALL_TIMEOUT_MS + waitMs, ...(waitMs === 0 ? {} : { signal }) },
      );
      if (reportInterval) this.#intervalMs = Math.max(100, durationMs(reportInterval));
      const nowMs = this.#clock.monotonic();
      const early = stop === undefined && nowMs - sentAtMs < waitMs * ANSWERED_EARLY;
      this.#nextAtMs = early ? sentAtMs + this.#intervalMs * INTERVAL_SHARE : nowMs;
      if (stop) this.#takeStop(message.launchId, stop);
      if (message.notice?.endAfter && this.#launch?.().launchId === message.launchId)
        this.#on.notice(draining);
    } catch (error) {
      // There is something else to report, which is sent next.
      if (waitMs > 0 && signal.aborted) return;
      this.#dirty = true;
      throw error;
    }
  }

  #takeStop(launchId: string | undefined, { number, reason, grace, restart }: LaunchStop): void {
    // The process may have ended during the call.
    if (this.#launch?.().launchId !== launchId || number <= this.#seenStopNumber) return;
    this.#seenStopNumber = number;
    this.#on.kill({ reason, graceMs: grace ? durationMs(grace) : 0, restart });
  }

  /** A failed report must not affect the supervised process. */
  #failed(error: unknown, exit: Exit | undefined): "failed" {
    const message = error instanceof Error ? error.message : String(error);
    const reason = error instanceof MusterError ? error.reason : "";
    // The scheduler would refuse it every time.
    const final = !(error instanceof MusterError) || reason === "INVALID_REQUEST";
    if (!this.#away || final) {
      const then = final ? "this one is dropped" : "they are kept and retried";
      this.#log.write(
        "warn",
        "launch.report.failed",
        `the scheduler at ${this.#client.addresses.join(", ")} accepts no reports: ${message}; ${then}`,
        { error: message, reason, kept: this.#exits.length },
      );
    }
    this.#away = true;
    this.#retryMs = Math.min(LAST_RETRY_MS, this.#retryMs * 2 || FIRST_RETRY_MS);
    if (final && exit === undefined) this.#launch = undefined;
    if (final) this.#exits = this.#exits.filter((other) => other !== exit);
    return "failed";
  }

  #untilNextMs(): number {
    if (this.#launch === undefined) return IDLE_MS;
    return this.#nextAtMs - this.#clock.monotonic();
  }

  /** Wakes the loop. While the scheduler is unavailable, only a close shortens the delay. */
  #wakeLoop(): void {
    if (!this.#away || this.#closing) this.#wake.abort();
  }
}
