/** The form of a case of the prose snapshot: a code, what is special about it, and the facts that it is written from. */
import type { ReasonCode } from "../codes.ts";
import type { Reason } from "../reason.ts";

/** One text of the snapshot. */
export interface ProseCase {
  readonly code: ReasonCode;
  /** What distinguishes the case from others of the code. */
  readonly when: string;
  /** Writes the explanation; the first reason of the code is the text. */
  readonly write: () => readonly Reason[];
}
