/** Messages between a worker and the process of an isolated handler. */
import type { ClassifiedFailure } from "../attempt/failure/classify.ts";
import type { AssignmentMessage } from "../link/assignment.ts";
import type { FromLink, ToLink } from "../link/messages.ts";
import type { Cost, Outcome } from "../link/outcome.ts";
import type { LineLevel } from "../task-log/attempt-log.ts";
import type { LineText } from "../task-log/line.ts";

/** Why a handler has to stop. */
export type StopKind = "cancelled" | "timedOut" | "revoked" | "drain" | "exceeded";

/** An attempt that the process is to run. */
export interface AttemptRequest {
  readonly kind: "attempt";
  readonly assignment: AssignmentMessage;
  readonly maxResultBytes: number;
  /** What the scheduler has set for its workers. */
  readonly phaseWarningsMs: Readonly<Record<string, number>>;
  /** Trace context of the run's span; undefined without one. */
  readonly traceparent: string | undefined;
}

/** Worker to process. */
export type ToChild =
  | AttemptRequest
  | { readonly kind: "stop"; readonly stop: StopKind; readonly message: string }
  | {
      readonly kind: "answered";
      readonly answer: Extract<FromLink, { kind: "checkpointAnswered" | "keyPauseAnswered" }>;
    }
  /** The scratch folder, or why there is none. */
  | { readonly kind: "scratch"; readonly path: string }
  | { readonly kind: "noScratch"; readonly error: RemoteError }
  /** End: no attempt follows. */
  | { readonly kind: "end" };

/** An error on its way to the process. */
export interface RemoteError {
  readonly code: string;
  readonly message: string;
  readonly final: boolean;
}

/** What makes a process useless. */
export type Unusable =
  /** The module threw, or `lifespan` did. */
  | { readonly what: "import" | "lifespan"; readonly message: string; readonly traceback: string }
  /** The module makes no worker that has the handlers. */
  | { readonly what: "handler"; readonly workers: number; readonly types: readonly string[] };

/** Process to worker. */
export type FromChild =
  /** The module was imported and has the handlers. */
  | { readonly kind: "found" }
  /** It is set up, and takes an attempt. */
  | { readonly kind: "ready" }
  | { readonly kind: "unusable"; readonly fault: Unusable }
  /** For the scheduler. */
  | { readonly kind: "report"; readonly message: ToLink }
  /** A line that is kept with the attempt. */
  | { readonly kind: "line"; readonly level: LineLevel; readonly text: LineText }
  /** A line of the worker's log. */
  | {
      readonly kind: "log";
      readonly level: LineLevel;
      readonly fields: Readonly<Record<string, unknown>>;
      readonly message: string | undefined;
    }
  | { readonly kind: "openScratch" }
  /** An uncaught error ends the process. */
  | { readonly kind: "uncaught"; readonly failure: ClassifiedFailure }
  | {
      readonly kind: "outcome";
      readonly attemptId: string;
      readonly outcome: Outcome;
      readonly phases: Cost["phases"];
    };
