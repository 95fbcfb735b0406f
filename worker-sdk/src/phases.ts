import type { AttemptHost } from "./attempt.ts";
import { toCode } from "./classify.ts";
import type { PhaseOptions } from "./context.ts";
import type { Deadline } from "./deadlines.ts";
import type { AssignmentMessage } from "./link/messages.ts";
import type { Logger } from "./logger.ts";
import type { RunTrace } from "./tracing.ts";
import { Watch } from "./watchdog.ts";

const PHASE_NAME = /^[a-z][a-z0-9_]{0,63}$/;

/** Phases of one attempt that are timed; a handler that opens more keeps its events but not its timings. */
const MAX_TIMINGS = 1000;

interface OpenPhase {
  readonly name: string;
  readonly beganMs: number;
  readonly movable: boolean;
  watch: Watch | undefined;
  hardLimit: Deadline | undefined;
}

/** What the phases of an attempt tell it. */
export interface PhasesListener {
  event(name: string, attributes: Readonly<Record<string, string>>): void;
  timedOut(phase: string, limitMs: number): void;
  log(): Logger;
  startedMs(): number;
  trace(): RunTrace | undefined;
}

/** The named phases of one attempt: sequential, nested or side by side. */
export class Phases {
  readonly #host: AttemptHost;
  readonly #assignment: AssignmentMessage;
  readonly #listener: PhasesListener;
  readonly #open: OpenPhase[] = [];
  readonly timings: { phase: string; durationMs: number; failed: boolean }[] = [];

  constructor(host: AttemptHost, assignment: AssignmentMessage, listener: PhasesListener) {
    this.#host = host;
    this.#assignment = assignment;
    this.#listener = listener;
  }

  /** Runs a phase. */
  async run<T>(name: string, fn: () => T | Promise<T>, options: PhaseOptions): Promise<T> {
    if (!PHASE_NAME.test(name)) throw new TypeError(`Phase "${name}" must match ${PHASE_NAME.source}.`);
    const context = textValues(options.context ?? {});
    const phase = this.#begin(name, options, context);
    const timing = { phase: name, durationMs: 0, failed: true };
    if (this.timings.length < MAX_TIMINGS) this.timings.push(timing);
    try {
      const trace = this.#listener.trace();
      const value = await (trace === undefined ? fn() : trace.phase(name, context, fn));
      timing.failed = false;
      this.#end(phase, "completed", context, timing);
      return value;
    } catch (error) {
      const failure = error instanceof Error ? { error: toCode(error.name) } : { error: "ERROR" };
      this.#end(phase, "failed", { ...context, ...failure }, timing);
      throw error;
    }
  }

  /** Progress was reported. */
  progress(): void {
    for (const { movable, watch } of this.#open) if (movable) watch?.progress();
  }

  /** The handler has ended; phases that it left open are watched no more. */
  close(): void {
    for (const phase of this.#open.splice(0)) this.#release(phase);
  }

  #begin(name: string, options: PhaseOptions, context: Readonly<Record<string, string>>): OpenPhase {
    const { clock, deadlines, link } = this.#host;
    const phase: OpenPhase = {
      name,
      beganMs: clock.monotonicMs(),
      movable: options.progress === true,
      watch: undefined,
      hardLimit: undefined,
    };
    this.#open.push(phase);
    this.#listener.event(`task.${name}.started`, context);
    this.#postCurrent();
    // What follows may block the loop; beats must know by then what it is.
    link.flush();
    const warnAfterS = options.warnAfterS ?? this.#host.warnAfterS(name, this.#assignment);
    if (warnAfterS !== undefined && warnAfterS > 0) phase.watch = this.#watch(phase, warnAfterS, context);
    const limitMs = this.#assignment.phaseTimeoutsMs[name];
    if (limitMs !== undefined && limitMs > 0) {
      phase.hardLimit = deadlines.add(limitMs, () => this.#listener.timedOut(name, limitMs));
    }
    return phase;
  }

  #end(
    phase: OpenPhase,
    outcome: "completed" | "failed",
    attributes: Readonly<Record<string, string>>,
    timing: { durationMs: number },
  ): void {
    const index = this.#open.indexOf(phase);
    if (index >= 0) this.#open.splice(index, 1);
    this.#release(phase);
    timing.durationMs = this.#host.clock.monotonicMs() - phase.beganMs;
    const elapsed = Math.round(timing.durationMs);
    this.#listener.event(`task.${phase.name}.${outcome}`, { ...attributes, elapsed_ms: String(elapsed) });
    if (index >= 0) this.#postCurrent();
    const log = this.#listener.log();
    log.debug({ event: `task.${phase.name}.${outcome}`, ...attributes, elapsed_ms: elapsed });
  }

  #watch(phase: OpenPhase, warnAfterS: number, context: Readonly<Record<string, string>>): Watch {
    const { clock, deadlines } = this.#host;
    const report = (what: "stuck" | "recovered", elapsedMs: number): void => {
      const event = `task.${phase.name}.${what}`;
      const facts = {
        ...context,
        elapsed_ms: String(Math.round(elapsedMs)),
        warn_after_s: String(warnAfterS),
      };
      this.#listener.event(event, facts);
      const fields = { event, ...context, elapsed_ms: Math.round(elapsedMs), warn_after_s: warnAfterS };
      const seconds = (elapsedMs / 1000).toFixed(1);
      if (what === "stuck") this.#listener.log().warn(fields, `phase ${phase.name} has lasted ${seconds} s`);
      else this.#listener.log().info(fields, `phase ${phase.name} moves again after ${seconds} s`);
    };
    return new Watch(clock, deadlines, warnAfterS * 1000, {
      stuck: (elapsedMs) => report("stuck", elapsedMs),
      recovered: (elapsedMs) => report("recovered", elapsedMs),
    });
  }

  #release(phase: OpenPhase): void {
    phase.watch?.close();
    this.#host.deadlines.remove(phase.hardLimit);
  }

  #postCurrent(): void {
    const current = this.#open.at(-1);
    this.#host.link.send({
      kind: "phase",
      attemptId: this.#assignment.attemptId,
      phase: current?.name ?? "",
      sinceMs: current?.beganMs ?? this.#listener.startedMs(),
    });
  }
}

/** JavaScript authors pass numbers, which the wire does not take. */
function textValues(context: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(context).map(([name, value]) => [name, String(value)]));
}
