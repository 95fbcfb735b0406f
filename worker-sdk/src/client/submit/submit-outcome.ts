/** What a submit did besides accepting its task. */
import type { SubmittedTask, TaskStateName } from "@muster/protocol";
import { plain, UniqueConflictOutcome, UniqueConflictSchema } from "@muster/protocol";

/** A submit whose unique key an earlier task held. */
export interface KeyConflict {
  /** `returned`: nothing was changed. `replaced`: the earlier task waited, and has what this submit asked for. */
  readonly outcome: "returned" | "replaced";
  /** State of the earlier task when the submit was decided. */
  readonly holderState: TaskStateName;
}

/** A fact about an accepted task that its producer should know. */
export interface SubmitWarning {
  /** `NEVER_FITS`: no known worker has the capacities that the task costs. */
  readonly code: string;
  /** One sentence, with what would have to change. */
  readonly message: string;
}

/** What the concurrency keys of a submit did at once. */
export interface ConcurrencyOutcome {
  /** Set when a key with `cancelNewest` had no place left: the task has ended as cancelled. */
  readonly limitReached:
    | {
        readonly key: string;
        /** The limit in force. */
        readonly limit: number;
        /** Open tasks that had the key, the oldest first; at most 20. */
        readonly taskIds: readonly string[];
      }
    | undefined;
  /** Older tasks that keys with `cancelRunning` cancel. Those that run end when their handlers return. */
  readonly cancelledTaskIds: readonly string[];
}

/** What a handle shows of its submit. */
export interface SubmitOutcome {
  readonly duplicate: boolean;
  readonly conflict: KeyConflict | undefined;
  readonly warnings: readonly SubmitWarning[];
  readonly concurrency: ConcurrencyOutcome | undefined;
}

const NO_WARNINGS: readonly SubmitWarning[] = Object.freeze([]);

/** The outcome of a handle that no submit made. */
export const NO_SUBMIT: SubmitOutcome = Object.freeze({
  duplicate: false,
  conflict: undefined,
  warnings: NO_WARNINGS,
  concurrency: undefined,
});

export function outcomeOf({ duplicate, conflict, warnings, concurrency }: SubmittedTask): SubmitOutcome {
  return {
    duplicate,
    conflict: conflict && {
      outcome: conflict.outcome === UniqueConflictOutcome.REPLACED ? "replaced" : "returned",
      holderState: plain(UniqueConflictSchema, conflict).holderState as TaskStateName,
    },
    warnings: warnings.length > 0 ? warnings.map(({ code, message }) => ({ code, message })) : NO_WARNINGS,
    concurrency: concurrency && {
      limitReached: concurrency.limitReached,
      cancelledTaskIds: concurrency.cancelledTaskIds,
    },
  };
}
