/** A setting that a worker registered with. */

/** As the worker says it. */
export interface WorkerSetting {
  /** The option, for example `concurrency`. */
  readonly name: string;
  /** Of a secret only whether it is set. */
  readonly value: string;
  /** `option`, `environment` or `default`. */
  readonly source: string;
  /** The environment variable that sets it; empty when there is none. */
  readonly variable: string;
}

/** The setting that holds the scheduler's addresses. */
export const ADDRESS_SETTING = "scheduler";

/** The source of a value that neither the program nor the environment has set. */
export const BY_DEFAULT = "default";

/** Living workers that dial the default address of the SDK. */
export interface DefaultAddressed {
  readonly count: number;
  /** Some of them. */
  readonly workers: readonly {
    readonly workerId: string;
    readonly hostname: string;
    readonly address: string;
  }[];
}
