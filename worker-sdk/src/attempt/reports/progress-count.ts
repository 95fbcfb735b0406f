/** Progress of a handler as a count. */
export interface ProgressCount {
  /** Items done so far: an integer from 0. */
  readonly done: number;
  /**
   * Items in all: an integer from 0.
   * @default unknown
   */
  readonly total?: number;
  /**
   * What is counted: `[a-z][a-z0-9_]{0,31}`, for example `pages`. Amounts of `bytes` are shown as MiB.
   * @default unknown
   */
  readonly unit?: string;
  /**
   * One sentence without secrets: operators see it.
   * @default none
   */
  readonly message?: string;
}
