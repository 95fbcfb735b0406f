/** The form of a setting that a worker runs with. */

/** A setting as it may be shown: of a secret only whether it is set. */
export interface EffectiveSetting {
  /** The option, for example `concurrency` or `scratch.dir`. */
  readonly name: string;
  readonly value: string;
  readonly source: "option" | "environment" | "default";
  /** The environment variable that sets it; empty when there is none. */
  readonly variable: string;
}
