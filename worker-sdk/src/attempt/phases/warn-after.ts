/** Decides after how many seconds a phase is stuck. */
import type { AssignmentMessage } from "../../link/assignment.ts";
import type { CompiledOptions } from "../../options/compiled-options.ts";
import { DEFAULT_WARN_S } from "../../options/options.ts";

/** Who may say so: the task, then the declaration and the options of the worker, then the scheduler. */
export interface WarnSources {
  readonly assignment: Pick<AssignmentMessage, "phaseWarningsMs">;
  /** That of the task type's declaration. */
  readonly declared: () => number | undefined;
  readonly options: Pick<CompiledOptions, "warnS">;
  readonly schedulerMs: number | undefined;
}

/** Undefined: never. */
export function warnAfterS(
  phase: string,
  { assignment, declared, options, schedulerMs }: WarnSources,
): number | undefined {
  const taskMs = assignment.phaseWarningsMs[phase];
  if (taskMs !== undefined) return taskMs / 1000;
  const own = declared() ?? options.warnS.get(phase);
  if (own !== undefined) return own;
  return schedulerMs === undefined ? DEFAULT_WARN_S.get(phase) : schedulerMs / 1000;
}
