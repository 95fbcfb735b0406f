/** The faults that mechanisms answer, each once, for a fleet in any mode. */
import { FAILING_TASK_FAULTS } from "./failing-task-faults.ts";
import type { MechanismFault } from "./mechanism-fault.ts";
import { MISSING_ANSWER_FAULTS } from "./missing-answer-faults.ts";
import { WORKER_LOSS_FAULTS } from "./worker-loss-faults.ts";

/** By what is at fault; those of a group may be driven at once. */
export const FAULT_GROUPS = {
  "workers that are lost": WORKER_LOSS_FAULTS,
  "workers that do not answer": MISSING_ANSWER_FAULTS,
  "tasks that fail": FAILING_TASK_FAULTS,
} as const;

export const MECHANISM_FAULTS: readonly MechanismFault[] = Object.values(FAULT_GROUPS).flat();
