/** Messages between `muster invoke` and the process that runs the worker's file. */

/** The task to run. */
export interface InvokeRequest {
  readonly kind: "invoke";
  readonly type: string;
  readonly payload: Uint8Array;
  readonly contentType: string;
  /** Number of the attempt, from 1. */
  readonly attempt: number;
  /** Hard limit of the run; undefined for none. */
  readonly timeoutS: number | undefined;
}

/** Asks the handler to stop. */
export interface CancelRequest {
  readonly kind: "cancel";
  readonly reason: string;
}

/** How the run ended, as `RunOutcome` of `@muster/worker/testing`. */
export interface InvokeOutcome {
  readonly state: "succeeded" | "failed" | "cancelled" | "released" | "revoked";
  readonly output: unknown;
  readonly contentType: string;
  readonly failure: { readonly class: string; readonly code: string; readonly message: string } | undefined;
  readonly message: string;
  readonly warnings: readonly { readonly step: string; readonly code: string; readonly message: string }[];
  readonly runS: number;
}

/** What the process of the file answers. */
export type InvokeAnswer =
  | { readonly kind: "progress"; readonly text: string }
  | { readonly kind: "output"; readonly data: Uint8Array }
  | { readonly kind: "outcome"; readonly outcome: InvokeOutcome }
  /** The file has no worker, or none with this type. */
  | { readonly kind: "unknown"; readonly types: readonly string[]; readonly workers: number }
  /** The worker's set-up failed, or the task is not valid. */
  | { readonly kind: "refused"; readonly message: string };
