/** Messages between a test and the thread of its scheduler. */

/** What the thread starts with. */
export interface SchedulerData {
  /** An empty folder of the thread's own. */
  readonly folder: string;
  /** A database to use; undefined: an embedded PostgreSQL in the folder. */
  readonly databaseUrl: string | undefined;
  /** Flags of `muster serve`. */
  readonly args: readonly string[];
}

/** Thread to test. */
export type FromScheduler =
  | { readonly kind: "ready"; readonly grpc: string; readonly http: string; readonly databaseUrl: string }
  | {
      readonly kind: "log";
      readonly level: "info" | "warn" | "error";
      readonly event: string;
      readonly fields: Readonly<Record<string, unknown>>;
    }
  /** `missing`: the package of the scheduler is not installed. */
  | { readonly kind: "failed"; readonly missing: boolean; readonly message: string }
  | { readonly kind: "stopped" };
