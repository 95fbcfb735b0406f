/** The phases of an attempt and their times. */

import { PHASE_NAME } from "@muster/common/text/name-forms";
import type { AssignmentMessage } from "../../link/assignment.ts";
import type { PhaseEnd, PhaseTiming } from "../../link/outcome.ts";
import type { Logger } from "../../logging/logger.ts";
import { checkKnown, type OptionNames } from "../../options/known-options.ts";
import {
  type AnyPhaseDeclarations,
  isSeconds,
  MAX_PHASE_S,
  secondsOf,
} from "../../options/task-types/phase-declarations.ts";
import type { RunTrace } from "../../tracing/run-trace.ts";
import type { AttemptHost } from "../attempt-host.ts";
import type { Deadline } from "../deadlines.ts";
import { classNameOf, toCode } from "../failure/classify.ts";
import type { PhaseLimits, PhaseOptions, RunningPhase } from "./phase-options.ts";

const NAMES: OptionNames<PhaseOptions> = { progress: true, context: true, warnAfterS: true, timeoutS: true };

/** Phases of one attempt that are timed; a handler that opens more keeps its events but not its timings. */
const MAX_TIMINGS = 1000;

/** Phases whose start and end are logged at info: loading takes memory and time. */
const INFO_PHASES: ReadonlySet<string> = new Set(["model_load"]);

/** A timing that is not final. */
type OpenTiming = { -readonly [Field in keyof PhaseTiming]: PhaseTiming[Field] };

interface OpenPhase {
  readonly number: number;
  readonly name: string;
  readonly beganMs: number;
  readonly timing: OpenTiming;
  /** Hard limit from its start; 0 for none. */
  limitMs: number;
  /** Of the counts that are reported in it without one. */
  readonly unit: string | undefined;
  hardLimit: Deadline | undefined;
}

/** Callbacks of the phases of an attempt. */
export interface PhasesListener {
  event(name: string, attributes: Readonly<Record<string, string>>): void;
  timedOut(phase: string, limitMs: number): void;
  /** Progress keeps a phase from being stuck that is so after this time without any. */
  watched(warnAfterMs: number): void;
  /** What the functions of declarations are called with. */
  input(): unknown;
  log(): Logger;
  startedMs(): number;
  trace(): RunTrace | undefined;
}

/**
 * The named phases of one attempt: sequential, nested or concurrent. Their watchdogs run in the link's thread, so that
 * they fire while a handler blocks this one.
 */
export class Phases {
  readonly #host: AttemptHost;
  readonly #assignment: AssignmentMessage;
  readonly #declared: AnyPhaseDeclarations | undefined;
  readonly #listener: PhasesListener;
  readonly #open: OpenPhase[] = [];
  #count = 0;
  readonly timings: OpenTiming[] = [];

  /** @param declared The phases that the task type declares. */
  constructor(
    host: AttemptHost,
    assignment: AssignmentMessage,
    declared: AnyPhaseDeclarations | undefined,
    listener: PhasesListener,
  ) {
    this.#declared = declared;
    this.#host = host;
    this.#assignment = assignment;
    this.#listener = listener;
  }

  /** Unit of counts that are reported now without one: that of the innermost open phase that declares one. */
  get unit(): string | undefined {
    return this.#open.findLast(({ unit }) => unit !== undefined)?.unit;
  }

  /** Runs a phase. */
  async run<T>(name: string, fn: (phase: RunningPhase) => T | Promise<T>, options: PhaseOptions): Promise<T> {
    if (!PHASE_NAME.test(name)) throw new TypeError(`Phase "${name}" must match ${PHASE_NAME.source}.`);
    if (typeof fn !== "function")
      throw new TypeError(`phase("${name}"): needs a function, not ${fn === null ? "null" : typeof fn}`);
    checkKnown(`phase("${name}")`, options, NAMES);
    checkLimits(name, options);
    const context = textValues(options.context ?? {});
    const timing: OpenTiming = { phase: name, durationMs: 0, failed: true };
    const phase = this.#begin(name, options, context, timing);
    if (this.timings.length < MAX_TIMINGS) this.timings.push(timing);
    try {
      const trace = this.#listener.trace();
      const control = { extend: (limits: PhaseLimits) => this.#extend(phase, limits) };
      const value = await (trace === undefined ? fn(control) : trace.phase(name, context, () => fn(control)));
      timing.failed = false;
      this.#end(phase, "completed", context, timing);
      return value;
    } catch (error) {
      const failure = { error: typeof error === "object" ? toCode(classNameOf(error)) : "ERROR" };
      this.#end(phase, "failed", { ...context, ...failure }, timing);
      throw error;
    }
  }

  /** The handler has ended: closes the phases that it left open. */
  close(): void {
    for (const phase of this.#open.splice(0)) this.#release(phase, "handler_ended");
  }

  /** The handler gives a phase more time, or less. What has ended stays as it is. */
  #extend(phase: OpenPhase, limits: PhaseLimits): void {
    checkLimits(phase.name, limits);
    const { timeoutS, warnAfterS } = limits;
    if (timeoutS === undefined && warnAfterS === undefined)
      throw new RangeError(
        `Phase "${phase.name}": extend() got neither timeoutS nor warnAfterS; give at least one.`,
      );
    if (!this.#open.includes(phase)) return;
    const { clock, deadlines, link } = this.#host;
    const elapsedMs = clock.monotonicMs() - phase.beganMs;
    const fromStart = (seconds: number) => (seconds === 0 ? 0 : Math.round(elapsedMs + seconds * 1_000));
    if (timeoutS !== undefined) {
      deadlines.remove(phase.hardLimit);
      phase.hardLimit = undefined;
      phase.limitMs = fromStart(timeoutS);
      phase.timing.timeoutMs = phase.limitMs;
      this.#limit(phase);
    }
    link.send({
      kind: "phaseExtended",
      attemptId: this.#assignment.attemptId,
      number: phase.number,
      warnAfterMs: warnAfterS === undefined ? undefined : fromStart(warnAfterS),
      timeoutMs: timeoutS === undefined ? undefined : phase.limitMs,
    });
    link.flush();
    this.#log(phase.name, "extended", { timeout_s: timeoutS, warn_after_s: warnAfterS });
  }

  #limit(phase: OpenPhase): void {
    if (phase.limitMs <= 0) return;
    const { clock, deadlines } = this.#host;
    const inMs = phase.beganMs + phase.limitMs - clock.monotonicMs();
    phase.hardLimit = deadlines.add(inMs, () => this.#listener.timedOut(phase.name, phase.limitMs));
  }

  #begin(
    name: string,
    options: PhaseOptions,
    context: Readonly<Record<string, string>>,
    timing: OpenTiming,
  ): OpenPhase {
    const { clock, link } = this.#host;
    // What a function of a declaration throws ends the call before the phase begins.
    const declared = this.#declared?.[name];
    const ofDeclaration = (field: "warnAfterS" | "timeoutS") =>
      secondsOf(declared, field, name, this.#listener.input());
    const warnAfterS =
      options.warnAfterS ?? this.#host.warnAfterS(name, this.#assignment, () => ofDeclaration("warnAfterS"));
    const ofHandler = options.timeoutS === undefined ? undefined : options.timeoutS * 1000;
    const ofTask = ofHandler ?? this.#assignment.phaseTimeoutsMs[name];
    const limitMs = ofTask ?? (ofDeclaration("timeoutS") ?? 0) * 1000;
    if (ofHandler !== undefined) timing.timeoutMs = ofHandler;
    const movable = options.progress ?? declared?.progress === true;
    this.#count += 1;
    const phase: OpenPhase = {
      number: this.#count,
      name,
      beganMs: clock.monotonicMs(),
      timing,
      limitMs,
      unit: declared?.unit,
      hardLimit: undefined,
    };
    this.#open.push(phase);
    this.#listener.event(`task.${name}.started`, context);
    const { attemptId, taskId, type } = this.#assignment;
    link.send({
      kind: "phaseStarted",
      attemptId,
      taskId,
      taskType: type,
      number: phase.number,
      phase: name,
      sinceMs: phase.beganMs,
      movable,
      warnAfterMs: warnAfterS === undefined ? undefined : warnAfterS * 1000,
      // What the task has itself, its scheduler knows.
      timeoutMs: ofHandler ?? (ofTask === undefined && limitMs > 0 ? limitMs : undefined),
      context,
    });
    if (movable && warnAfterS) this.#listener.watched(warnAfterS * 1000);
    // The phase may block the loop, and heartbeats must carry its name by then.
    link.flush();
    this.#limit(phase);
    this.#log(name, "started", context);
    return phase;
  }

  #end(
    phase: OpenPhase,
    outcome: "completed" | "failed",
    attributes: Readonly<Record<string, string>>,
    timing: OpenTiming,
  ): void {
    const index = this.#open.indexOf(phase);
    if (index >= 0) {
      this.#open.splice(index, 1);
      this.#release(phase, outcome);
    }
    timing.durationMs = this.#host.clock.monotonicMs() - phase.beganMs;
    const { limitMs } = phase;
    // A phase that blocks the main loop ends before its timer can fire.
    if (limitMs > 0 && timing.durationMs > limitMs) this.#listener.timedOut(phase.name, limitMs);
    const elapsed = Math.round(timing.durationMs);
    this.#listener.event(`task.${phase.name}.${outcome}`, { ...attributes, elapsed_ms: String(elapsed) });
    this.#log(phase.name, outcome, { ...attributes, elapsed_ms: elapsed });
  }

  #release(phase: OpenPhase, how: PhaseEnd): void {
    this.#host.deadlines.remove(phase.hardLimit);
    const { attemptId } = this.#assignment;
    // Before the event of its end: the recovery comes first.
    this.#host.link.send({ kind: "phaseEnded", attemptId, number: phase.number, how });
  }

  #log(
    name: string,
    change: "started" | "extended" | PhaseEnd,
    facts: Readonly<Record<string, unknown>>,
  ): void {
    const log = this.#listener.log();
    const fields = { event: `task.${name}.${change}`, ...facts };
    if (INFO_PHASES.has(name)) log.info(fields, `phase ${name} ${change}`);
    else log.debug(fields, `phase ${name} ${change}`);
  }
}

/** @throws RangeError when a time is none. */
function checkLimits(phase: string, { warnAfterS, timeoutS }: PhaseLimits): void {
  for (const [option, value] of Object.entries({ warnAfterS, timeoutS }))
    if (value !== undefined && !isSeconds(value))
      throw new RangeError(
        `Phase "${phase}": option ${option}: ${String(value)} is not a number from 0 to ${MAX_PHASE_S}; 0 means never.`,
      );
}

/** JavaScript code passes numbers, which have no wire form here. */
function textValues(context: Readonly<Record<string, unknown>>): Record<string, string> {
  return Object.fromEntries(Object.entries(context).map(([name, value]) => [name, String(value)]));
}
