/** How attempts end, and what they cost, as the main thread sends it to the link. */
import type { Facts } from "@muster/common/facts";

/** How an attempt ended. */
export type Outcome =
  | {
      readonly kind: "succeeded";
      readonly output: string | Uint8Array;
      readonly contentType: string;
      readonly warnings: readonly { step: string; code: string; message: string }[];
    }
  | {
      readonly kind: "failed";
      readonly failureClass: "retryable" | "non_retryable" | "timed_out" | "out_of_memory";
      readonly code: string;
      readonly message: string;
      readonly traceback: string;
      readonly retryAfterMs?: number;
      /** Facts for the caller as JSON. */
      readonly details?: string;
      readonly facts?: Facts;
    }
  | { readonly kind: "cancelled"; readonly message: string }
  | { readonly kind: "released"; readonly reason: string };

/** A phase that has ended, or that its handler left open. */
export interface PhaseTiming {
  readonly phase: string;
  readonly durationMs: number;
  readonly failed: boolean;
  /** Its hard limit, 0 for none, where its handler set one. */
  readonly timeoutMs?: number;
}

/** What an attempt cost. */
export interface Cost {
  readonly runMs: number;
  readonly phases: readonly PhaseTiming[];
}

/** How a phase ended: by itself, or because its handler ended and left it open. */
export type PhaseEnd = "completed" | "failed" | "handler_ended";
