/** Options of the phases of a handler, and a phase that runs. */

/** A phase that runs; given to the function of `ctx.phase()`. */
export interface RunningPhase {
  /**
   * Gives the phase more time, or less, in place of its options, of the task's own `timeouts.phasesS` and `watchdogs.phasesS`, and of the
   * declaration. Do it before the time is over: what has timed out stays so. The run timeout of the task is not changed.
   *
   * ```ts
   * await ctx.phase("upload", async (phase) => {
   *   const { bytes } = await prepare();
   *   phase.extend({ timeoutS: 60 + bytes / 1e6, warnAfterS: 30 + bytes / 1e6 });
   *   await upload(ctx.signal);
   * });
   * ```
   *
   * @throws RangeError when a time is not a number of seconds from 0 to 31,622,400, or neither is given.
   */
  extend(limits: PhaseLimits): void;
}

/** What `RunningPhase.extend()` sets. */
export interface PhaseLimits {
  /**
   * Seconds from now after which the attempt is aborted and fails with `TIMED_OUT`; 0 means never.
   * @default the limit stays as it is
   */
  readonly timeoutS?: number;
  /**
   * Seconds from now until the phase is reported as stuck; 0 means never.
   * @default the threshold stays as it is
   */
  readonly warnAfterS?: number;
}

/** Options of `ctx.phase()`. */
export interface PhaseOptions {
  /**
   * True: every `ctx.progress()` inside the phase restarts its watchdog.
   * @default that of the declaration (`phases` of the task type), else false
   */
  readonly progress?: boolean;
  /**
   * Facts for the events of the phase, for example `{ model: "whisper-large" }`.
   * @default none
   */
  readonly context?: Readonly<Record<string, string>>;
  /**
   * Seconds until the phase is reported as stuck; 0 means never.
   * @default the task's `watchdogs.phasesS`, else that of the declaration, else the worker's `warn`, else the scheduler's setting, else the default
   * for the name of the phase
   */
  readonly warnAfterS?: number;
  /**
   * Seconds after which the attempt is aborted and fails with `TIMED_OUT`; 0 means never. The run timeout of the task stays.
   * @default the task's `timeouts.phasesS`, else that of the declaration, else none
   */
  readonly timeoutS?: number;
}
