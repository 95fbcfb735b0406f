/** The parts of a worker that an attempt uses. */
import type { Clock } from "../clock.ts";
import type { AssignmentMessage } from "../link/assignment.ts";
import type { Link } from "../link/link.ts";
import type { Logger } from "../logging/logger.ts";
import type { ScratchFolders } from "../scratch/scratch-folders.ts";
import type { ObjectStore } from "../storage/object-store.ts";
import type { AttemptLog } from "../task-log/attempt-log.ts";
import type { Children } from "./children/children.ts";
import type { Deadlines } from "./deadlines.ts";
import type { KeyPauses } from "./reports/key-pauses.ts";
import type { SlotReleases } from "./slots/slot-releases.ts";

/** What an attempt needs of its worker. */
export interface AttemptHost {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly link: Pick<Link, "send" | "sendStarted" | "sendSuccess" | "flush">;
  readonly log: Logger;
  readonly scratch: Pick<ScratchFolders, "open" | "end">;
  /** Where artifacts are stored; undefined when no store is set. */
  readonly artifacts: ObjectStore | undefined;
  /** What the worker's lifespan returned. */
  readonly services: unknown;
  readonly keyPauses: Pick<KeyPauses, "ask">;
  /** Undefined: what handlers log is not kept. */
  readonly taskLogs: { open(attemptId: string): Pick<AttemptLog, "write" | "writeText" | "end"> } | undefined;
  /** Undefined for a run without a scheduler. */
  readonly children?: (Pick<Children, "start"> & Partial<Pick<Children, "submit">>) | undefined;
  /** Frees and takes the slots of attempts whose handlers wait. */
  readonly slots: Pick<SlotReleases, "begin" | "end">;
  /**
   * Seconds after which a phase of this name is stuck, unless it says otherwise; unset means never.
   *
   * @param declared Those of the task type's declaration, asked for only where the task has none.
   */
  warnAfterS(
    phase: string,
    assignment: AssignmentMessage,
    declared: () => number | undefined,
  ): number | undefined;
}
