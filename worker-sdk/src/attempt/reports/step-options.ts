/** The options of a named step. */

/** Options of `ctx.step()`. */
export interface StepOptions {
  /**
   * True: the task succeeds although this step fails. The failure becomes a warning (`succeeded_with_warnings`), and
   * `muster retry ID --step NAME` runs the step again alone.
   * @default false
   */
  readonly optional?: boolean;
  /**
   * Runs the step again within the attempt when it fails: up to `count` more times, 0 to 100, each after `delayS` seconds, 0 to
   * 86,400. A NonRetryableError ends the step at once.
   * @default no further run
   */
  readonly retry?: {
    /** Further runs of the step within the attempt, 0 to 100. */
    readonly count: number;
    /** Seconds before each of them, 0 to 86,400. @default 1 */
    readonly delayS?: number;
  };
}
